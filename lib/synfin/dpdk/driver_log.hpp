// What DPDK and its drivers have to say: warnings and errors only, one line each.
//
// While EAL starts, the lines are kept: on failure the user gets one sentence, and the reason
// stands in them. Afterwards they go to stderr. Lines that are known to mean nothing are left out.
#pragma once

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace synfin::dpdk {

class DriverLog {
  public:
    /// Takes DPDK's log over. At most one exists at a time.
    DriverLog();
    ~DriverLog();
    DriverLog(const DriverLog&) = delete;
    DriverLog& operator=(const DriverLog&) = delete;

    /// Takes over what libbpf and libxdp print, too; for AF_XDP.
    void include_bpf();
    /// The lines so far; from now on they go to stderr.
    std::string end_of_start();

  private:
    static ssize_t write(void* self, const char* bytes, size_t count);
    void add(std::string_view bytes);
    void end_line();

    FILE* stream_ = nullptr;
    std::mutex mutex_;
    bool starting_ = true;
    std::string line_;
    std::string kept_;
};

}  // namespace synfin::dpdk
