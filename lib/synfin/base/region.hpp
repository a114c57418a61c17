// Memory for the large, fixed arrays of a worker: reserved once, zero, given back at the end.
#pragma once

#include <cstddef>

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

    /// Has the system find all pages now, so that nobody has to wait for one later.
    void touch() const;

    void* data() const { return data_; }
    size_t size() const { return size_; }

  private:
    void* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace synfin
