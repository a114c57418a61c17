// Memory for the large, fixed arrays of a worker: reserved once, zero, given back at the end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace synfin {

/// An anonymous mapping, page-aligned, zero-filled, with transparent huge pages asked for. Pages
/// that are never touched cost no memory. Move-only.
class Region {
  public:
    Region() = default;
    /// Throws std::bad_alloc when the system refuses.
    explicit Region(size_t bytes);
    Region(Region&& other) noexcept;
    Region& operator=(Region&& other) noexcept;
    ~Region();

    /// Has the system find the pages of the first `bytes` now, so that nobody has to wait for one
    /// later. Of many megabytes, all cores find their part.
    void touch(size_t bytes = SIZE_MAX) const;
    /// Whether place() may use the system's pool of huge pages, in all regions. At first it may
    /// not.
    static void use_huge_pages(bool allowed);
    static bool uses_huge_pages();
    /// Places `bytes` from `from` on, both whole huge pages, on pages of that pool, if it has so
    /// many. They are ready sooner than transparent ones, which the system has to find and a host
    /// to back. Nobody may have touched them yet. Returns whether they were there.
    bool place(size_t from, size_t bytes) const;
    static constexpr size_t huge_page = size_t{2} << 20;

    void* data() const { return data_; }
    size_t size() const { return size_; }

  private:
    void* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace synfin
