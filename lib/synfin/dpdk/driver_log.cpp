#include <algorithm>
#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdlib>

#include <dlfcn.h>
#include <rte_log.h>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/driver_log.hpp>

namespace synfin::dpdk {

namespace {

/// Complaints about what we do on purpose.
constexpr std::array<std::string_view, 6> harmless{
    // The tap driver tells secondary processes of its queues; with --no-shconf there are none.
    "tap_mp_req_on_rxtx(): Failed to send start req to secondary",
    // libxdp's loader handles sections of its own that libbpf does not know.
    "libbpf: elf: skipping unrecognized data section",
    // Without a BPF file system libxdp loads its program without a dispatcher, which is all we
    // need.
    "libxdp: No bpffs found",
    "libxdp: Can't use dispatcher without a working bpffs",
    "libxdp: Falling back to loading single prog without dispatcher",
    "libxdp: XDP flag not supported by libxdp",
};

std::atomic<FILE*> bpf_stream{nullptr};

/// The type of the print functions of libbpf and libxdp; both number their levels from 0, warnings.
using BpfPrint = int (*)(int level, const char* format, va_list arguments);

[[gnu::format(printf, 2, 0)]] int print_bpf(int level, const char* format, va_list arguments) {
    FILE* const stream = bpf_stream.load();
    if (level != 0 || stream == nullptr) return 0;
    return std::vfprintf(stream, format, arguments);
}

void set_print(const char* library, const char* function) {
    // The driver needs the library anyway, so it stays loaded.
    void* const handle = ::dlopen(library, RTLD_NOW);
    if (handle == nullptr) return;
    using Setter = BpfPrint (*)(BpfPrint);
    if (const auto set = reinterpret_cast<Setter>(::dlsym(handle, function)); set != nullptr) {
        set(print_bpf);
    }
}

}  // namespace

DriverLog::DriverLog() {
    cookie_io_functions_t functions{};
    functions.write = &DriverLog::write;
    stream_ = ::fopencookie(this, "w", functions);
    SYNFIN_ASSERT(stream_ != nullptr);
    std::setvbuf(stream_, nullptr, _IOLBF, 512);
    rte_openlog_stream(stream_);
}

DriverLog::~DriverLog() {
    bpf_stream.store(nullptr);
    rte_openlog_stream(stderr);
    std::fclose(stream_);
}

void DriverLog::include_bpf() {
    bpf_stream.store(stream_);
    set_print("libbpf.so.1", "libbpf_set_print");
    set_print("libxdp.so.1", "libxdp_set_print");
}

std::string DriverLog::end_of_start() {
    std::fflush(stream_);
    const std::lock_guard lock{mutex_};
    starting_ = false;
    return kept_;
}

ssize_t DriverLog::write(void* self, const char* bytes, size_t count) {
    static_cast<DriverLog*>(self)->add({bytes, count});
    return static_cast<ssize_t>(count);
}

void DriverLog::add(std::string_view bytes) {
    const std::lock_guard lock{mutex_};
    for (const char c : bytes) {
        if (c == '\n') {
            end_line();
        } else {
            line_ += c;
        }
    }
}

void DriverLog::end_line() {
    const bool skip =
        line_.empty() || std::any_of(harmless.begin(), harmless.end(), [&](std::string_view text) {
            return line_.find(text) != std::string::npos;
        });
    if (!skip && starting_) {
        kept_ += line_ + "\n";
    } else if (!skip) {
        std::fprintf(stderr, "dpdk: %s\n", line_.c_str());
    }
    line_.clear();
}

}  // namespace synfin::dpdk
