#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <linux/mman.h>
#include <sys/mman.h>

#include <synfin/base/assert.hpp>
#include <synfin/base/region.hpp>

namespace synfin {

namespace {

std::atomic<bool> huge_pages_allowed{false};

void* map(void* at, size_t bytes, int flags) {
    void* const data =
        ::mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return data == MAP_FAILED ? nullptr : data;
}

/// Ordinary memory, of which nothing is there before it is touched.
void* map_untouched(void* at, size_t bytes, int flags) {
    void* const data = map(at, bytes, flags | MAP_NORESERVE);
    if (data == nullptr) throw std::bad_alloc{};
    return data;
}

void find_pages(char* first, size_t bytes) {
    if (bytes == 0) return;
#ifdef MADV_POPULATE_WRITE
    if (::madvise(first, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
    // An older kernel: each page is written to with what stands there.
    constexpr size_t page = 4096;
    auto* const bytes_there = reinterpret_cast<volatile unsigned char*>(first);
    for (size_t at = 0; at < bytes; at += page) bytes_there[at] = bytes_there[at];
}

}  // namespace

Region::Region(size_t bytes) {
    if (bytes == 0) return;
    if (bytes < huge_page) {  // not worth aligning: huge pages would only waste
        size_ = bytes;
        data_ = map_untouched(nullptr, size_, 0);
        return;
    }
    if (bytes > SIZE_MAX - 2 * huge_page) throw std::bad_alloc{};
    size_ = (bytes + huge_page - 1) / huge_page * huge_page;
    auto* const found = static_cast<char*>(map_untouched(nullptr, size_ + huge_page, 0));
    const size_t before = (huge_page - reinterpret_cast<uintptr_t>(found) % huge_page) % huge_page;
    data_ = found + before;
    if (before != 0) ::munmap(found, before);
    ::munmap(found + before + size_, huge_page - before);
    ::madvise(data_, size_, MADV_HUGEPAGE);
}

void Region::use_huge_pages(bool allowed) { huge_pages_allowed = allowed; }

bool Region::uses_huge_pages() { return huge_pages_allowed; }

bool Region::place(size_t from, size_t bytes) const {
    SYNFIN_ASSERT(from % huge_page == 0 && bytes % huge_page == 0 && from + bytes <= size_);
    if (bytes == 0 || !huge_pages_allowed) return false;
    constexpr int size_of_pages = 21 << MAP_HUGE_SHIFT;
    char* const at = static_cast<char*>(data_) + from;
    if (map(at, bytes, MAP_FIXED | MAP_HUGETLB | size_of_pages) != nullptr) return true;
    // The attempt may have taken away what was there.
    map_untouched(at, bytes, MAP_FIXED);
    ::madvise(at, bytes, MADV_HUGEPAGE);
    return false;
}

Region::Region(Region&& other) noexcept
    : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}

Region& Region::operator=(Region&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

void Region::touch(size_t bytes) const {
    bytes = std::min(bytes, size_);
    auto* const first = static_cast<char*>(data_);
    // Clearing memory, and on a virtual machine the host's search for it, keep a core busy. The
    // parts are whole huge pages: no two threads want the same one.
    constexpr size_t worth_a_thread = 8 * huge_page;
    const size_t parts = std::clamp<size_t>(bytes / worth_a_thread, 1,
                                            std::max(1u, std::thread::hardware_concurrency()));
    const size_t part = bytes / parts / huge_page * huge_page;
    std::vector<std::jthread> others;
    for (size_t i = 1; i < parts; ++i)
        others.emplace_back(find_pages, first + (i - 1) * part, part);
    const size_t done_by_others = (parts - 1) * part;
    find_pages(first + done_by_others, bytes - done_by_others);
}

Region::~Region() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace synfin
