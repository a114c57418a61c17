#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

#include <synfin/base/assert.hpp>
#include <synfin/base/region.hpp>
#include <synfin/dpdk/device_check.hpp>
#include <synfin/dpdk/driver_log.hpp>
#include <synfin/dpdk/eal.hpp>

namespace synfin::dpdk {

namespace {

// Rings, device structures and the drivers' own needs fit into this many times over; ordinary
// memory that is not touched costs nothing.
constexpr unsigned memory_mb_without_buffers = 64;
constexpr unsigned memory_mb_with_buffers = 512;
// Below this, huge pages would run out before the packet buffers are placed.
constexpr uint64_t least_huge_bytes = uint64_t{128} << 20;

/// Keeps a stream of this process silent. EAL prints a page of usage to stdout when it does not
/// like an argument, and repeats on stderr what ends its start; the sentence that says why is in
/// its log.
class Silence {
  public:
    explicit Silence(FILE* stream) : stream_{stream}, saved_{::dup(::fileno(stream))} {
        std::fflush(stream_);
        const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null < 0) return;
        ::dup2(null, ::fileno(stream_));
        ::close(null);
    }
    ~Silence() {
        std::fflush(stream_);
        if (saved_ < 0) return;
        ::dup2(saved_, ::fileno(stream_));
        ::close(saved_);
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

  private:
    FILE* stream_;
    int saved_;
};

/// The same moment on both clocks.
struct TimeStamp {
    uint64_t ticks;
    int64_t ns;
};

TimeStamp time_stamp() {
    TimeStamp best{};
    uint64_t least = UINT64_MAX;
    // The reading that took the fewest ticks was not interrupted.
    for (int attempt = 0; attempt < 8; ++attempt) {
        timespec time{};
        const uint64_t before = rte_rdtsc();
        ::clock_gettime(CLOCK_MONOTONIC, &time);
        const uint64_t after = rte_rdtsc();
        if (after - before >= least) continue;
        least = after - before;
        best = {before + least / 2, int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec};
    }
    return best;
}

double measured_rate(const TimeStamp& from, const TimeStamp& to) {
    return static_cast<double>(to.ticks - from.ticks) * 1e9 / static_cast<double>(to.ns - from.ns);
}

std::vector<std::string> split_at_blanks(const std::string& text) {
    std::istringstream stream{text};
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

std::string join(const std::vector<unsigned>& numbers) {
    std::string text;
    for (const unsigned number : numbers) {
        if (!text.empty()) text += ',';
        text += std::to_string(number);
    }
    return text;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool wants(const std::vector<std::string>& arguments, std::initializer_list<const char*> options) {
    return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
        return std::any_of(options.begin(), options.end(), [&](const char* option) {
            return argument == option || argument.starts_with(std::string{option} + "=");
        });
    });
}

void check_options(const EalOptions& options, const std::vector<unsigned>& allowed) {
    for (const unsigned core : options.cores) {
        if (std::find(allowed.begin(), allowed.end(), core) == allowed.end()) {
            throw SetupError{"core " + std::to_string(core) +
                             " is not among the cores that this process may use: " + join(allowed)};
        }
    }
    for (const DeviceSpec& spec : options.devices) {
        DeviceSpec resolved = spec;
        if (resolved.role == MemifRole::automatic) resolved.role = options.memif_role;
        if (const auto reason = why_unusable(resolved, options.queues)) throw SetupError{*reason};
    }
}

}  // namespace

uint64_t free_huge_bytes() {
    uint64_t bytes = 0;
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator{"/sys/kernel/mm/hugepages", error}) {
        unsigned long long page_kb = 0;
        unsigned long long free_pages = 0;
        unsigned long long promised_pages = 0;
        const std::string directory = entry.path().filename().string();
        if (std::sscanf(directory.c_str(), "hugepages-%llukB", &page_kb) != 1) continue;
        std::ifstream{entry.path() / "free_hugepages"} >> free_pages;
        std::ifstream{entry.path() / "resv_hugepages"} >> promised_pages;
        bytes += uint64_t{page_kb} * 1024 * (free_pages - std::min(promised_pages, free_pages));
    }
    return bytes;
}

std::vector<unsigned> allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cores;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
    return cores;
}

std::vector<std::string> eal_arguments(const EalOptions& options, bool huge_pages,
                                       const std::vector<unsigned>& allowed, int process_id) {
    const std::vector<std::string> extra = split_at_blanks(options.extra);
    const bool has_pci =
        std::any_of(options.devices.begin(), options.devices.end(),
                    [](const DeviceSpec& spec) { return spec.kind == DeviceKind::pci; }) ||
        wants(extra, {"-a", "--allow", "-b", "--block"});
    const bool buffers_in_eal =
        std::any_of(options.devices.begin(), options.devices.end(), needs_eal_memory);

    std::vector<std::string> arguments{"synfin"};
    const auto add = [&](std::string argument) { arguments.push_back(std::move(argument)); };
    // The main thread may run anywhere; workers are threads of ours that register with EAL.
    add("--lcores=0@(" + join(allowed) + ")");
    add("--file-prefix=synfin-" + std::to_string(process_id));
    if (huge_pages) {
        add("--in-memory");
        if (options.memory_mb != 0) add("-m" + std::to_string(options.memory_mb));
    } else {
        // --in-memory is refused together with --no-huge; this is what it would mean here.
        add("--no-huge");
        add("--no-shconf");
        const unsigned fallback =
            buffers_in_eal ? memory_mb_with_buffers : memory_mb_without_buffers;
        add("-m" + std::to_string(options.memory_mb != 0 ? options.memory_mb : fallback));
    }
    if (!has_pci) {
        add("--no-pci");
        // Physical addresses are of use to hardware only, and reading them takes privileges.
        if (!wants(extra, {"--iova-mode"})) add("--iova-mode=va");
    }
    if (!options.telemetry) add("--no-telemetry");
    if (!wants(extra, {"--log-level"})) add("--log-level=warning");
    for (unsigned i = 0; i < options.devices.size(); ++i) {
        for (std::string& argument :
             device_arguments(options.devices[i], i, options.queues, options.memif_role)) {
            add(std::move(argument));
        }
    }
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return arguments;
}

Eal::Eal(const EalOptions& options) : options_{options} {
    static std::atomic<bool> started{false};
    SYNFIN_ASSERT(!started.exchange(true));

    const std::vector<unsigned> allowed = allowed_cores();
    check_options(options, allowed);
    const uint64_t wanted = std::max(uint64_t{options.memory_mb} << 20, least_huge_bytes);
    huge_pages_ = options.huge == HugePages::automatic && free_huge_bytes() >= wanted;
    std::vector<std::string> arguments =
        eal_arguments(options, huge_pages_, allowed, static_cast<int>(::getpid()));

    Region::use_huge_pages(huge_pages_);
    // EAL may reorder and keep what it is given.
    static std::vector<std::string> kept;
    kept = std::move(arguments);
    std::vector<char*> pointers;
    for (std::string& argument : kept) pointers.push_back(argument.data());
    pointers.push_back(nullptr);

    const TimeStamp before = time_stamp();
    log_ = std::make_unique<DriverLog>();
    if (std::any_of(options.devices.begin(), options.devices.end(),
                    [](const DeviceSpec& spec) { return spec.kind == DeviceKind::af_xdp; })) {
        log_->include_bpf();
    }
    int result = 0;
    {
        const Silence out{stdout};
        const Silence errors{stderr};
        result = rte_eal_init(static_cast<int>(kept.size()), pointers.data());
    }
    complaints_ = log_->end_of_start();
    if (result < 0) {
        std::string text = "DPDK's environment does not start (";
        text += complaints_.empty() ? rte_strerror(rte_errno) : first_line(complaints_);
        text += "); its arguments are";
        for (size_t i = 1; i < kept.size(); ++i) text += " " + kept[i];
        throw SetupError{text};
    }
    TimeStamp after = time_stamp();
    // EAL's own start takes 100 ms on most machines; with less between the two readings the rate
    // would be uncertain by more than some parts in a million.
    constexpr int64_t shortest_ns = 30'000'000;
    while (after.ns - before.ns < shortest_ns) {
        ::usleep(1000);
        after = time_stamp();
    }
    tsc_hz_ = measured_rate(before, after);

    // Nothing is shared through files, so the directory that EAL has made for them is empty.
    ::rmdir(rte_eal_get_runtime_dir());
}

Eal::~Eal() {
    // Nothing ends DPDK's interrupt thread, and memif leaves its listening socket among the sources
    // that the thread goes through whenever it wakes. Cleaning up would free those under it; the
    // end of the process frees them, too.
    if (options_.devices.empty()) rte_eal_cleanup();
}

std::string Eal::description() const {
    return huge_pages_ ? "memory: huge pages" : "memory: ordinary pages (no huge pages needed)";
}

}  // namespace synfin::dpdk
