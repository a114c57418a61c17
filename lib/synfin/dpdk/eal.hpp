// The life of DPDK's environment abstraction layer (EAL) in this process: started once, ended once.
//
// Without free huge pages EAL runs on ordinary memory. Packet buffers then live in a region of our
// own, which asks for transparent huge pages (packet_pool.hpp); that is where the page size counts.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <synfin/dpdk/device_spec.hpp>

namespace synfin::dpdk {

class DriverLog;

/// A device, EAL or a worker could not be set up. what() is one sentence for the user.
class SetupError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

enum class HugePages : uint8_t { automatic, off };

struct EalOptions {
    std::vector<DeviceSpec> devices;
    unsigned queues = 1;          ///< queue pairs per device: one per worker
    std::vector<unsigned> cores;  ///< on which workers will run; empty: all that we may use
    HugePages huge = HugePages::automatic;
    unsigned memory_mb = 0;  ///< of EAL itself; 0: what packet buffers in EAL's memory need
    MemifRole memif_role = MemifRole::client;  ///< of a memif whose text says nothing
    bool telemetry = false;                    ///< DPDK's own telemetry socket
    std::string extra;                         ///< more arguments of EAL, separated by spaces
};

/// The huge pages that are free and promised to nobody, in bytes. EAL takes them by mmap, so no
/// hugetlbfs need be mounted.
uint64_t free_huge_bytes();

/// The cores that this process may run on.
std::vector<unsigned> allowed_cores();

/// EAL's argument vector, argv[0] included. Pure.
std::vector<std::string> eal_arguments(const EalOptions& options, bool huge_pages,
                                       const std::vector<unsigned>& allowed, int process_id);

class Eal {
  public:
    /// Starts EAL. Throws SetupError. A process starts it at most once.
    explicit Eal(const EalOptions& options);
    ~Eal();
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;

    bool huge_pages() const { return huge_pages_; }
    const EalOptions& options() const { return options_; }
    /// The rate of the time stamp counter, measured against the system's clock during the start.
    double tsc_hz() const { return tsc_hz_; }
    /// For the user, one line: what memory is in use.
    std::string description() const;
    /// What drivers have complained about while EAL started; the reason why a device is missing.
    const std::string& complaints() const { return complaints_; }

  private:
    EalOptions options_;
    bool huge_pages_ = false;
    double tsc_hz_ = 0;
    std::string complaints_;
    std::unique_ptr<DriverLog> log_;
};

}  // namespace synfin::dpdk
