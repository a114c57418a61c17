#include "machine.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace synfin::apps {

namespace {

constexpr unsigned descriptors = 1024;

unsigned fewest_queues(const std::vector<std::unique_ptr<dpdk::Port>>& ports, unsigned wanted) {
    unsigned fewest = wanted;
    for (const auto& port : ports) fewest = std::min(fewest, port->queues());
    return fewest;
}

const LinkOptions& require_device(const LinkOptions& link) {
    if (link.devices.empty()) {
        throw UsageError{"no device is given; name one with --dev, such as --dev af_packet:eth1"};
    }
    return link;
}

}  // namespace

Machine::Machine(const MachineOptions& machine, const LinkOptions& link, Role role)
    : link_{require_device(link)},
      role_{role},
      eal_{machine.eal_options(link.devices, static_cast<unsigned>(machine.workers))},
      clock_{eal_},
      pool_{eal_,
            dpdk::pool_size(static_cast<unsigned>(link.devices.size()),
                            static_cast<unsigned>(machine.workers), descriptors, descriptors),
            static_cast<uint32_t>(machine.mtu)},
      workers_{static_cast<unsigned>(machine.workers)} {
    dpdk::PortOptions options;
    options.queues = workers_;
    options.receive_descriptors = descriptors;
    options.transmit_descriptors = descriptors;
    options.mtu = static_cast<uint32_t>(machine.mtu);
    options.mac = link.mac;
    options.ports_only_rss = role == Role::client;
    for (unsigned i = 0; i < link.devices.size(); ++i) {
        ports_.push_back(std::make_unique<dpdk::Port>(eal_, i, pool_, options));
    }
    if (fewest_queues(ports_, workers_) < workers_) {
        throw UsageError{fmt::format("--workers is {}, but a device has only {} queue pairs",
                                     workers_, fewest_queues(ports_, workers_))};
    }
    std::vector<const dpdk::ReceiveHash*> hashes;
    for (const auto& port : ports_) hashes.push_back(&port->receive_hash());
    if (workers_ > 1 && role == Role::client) {
        steering_ = dpdk::Steering{
            workers_, hashes, [this] {
                return std::all_of(ports_.begin(), ports_.end(), [this](const auto& port) {
                    return dpdk::install_flow_rules(port->id(), workers_);
                });
            }};
    }
    // A server's connections are where the device's own hash puts them, if anybody knows where.
    owners_ =
        role == Role::client ? steering_ : dpdk::Steering{workers_, hashes, [] { return false; }};
    const auto owners = steering_.hands_off_connections() ? dpdk::HandoffOwners::by_ports
                        : owners_.hands_off_connections() ? dpdk::HandoffOwners::unknown
                                                          : dpdk::HandoffOwners::known;
    if (workers_ > 1) {
        for (size_t i = 0; i < ports_.size(); ++i) {
            meshes_.push_back(std::make_unique<dpdk::HandoffMesh>(workers_, owners));
        }
    }
    cores_ = dpdk::assign_cores(workers_, machine.cores);
    for (unsigned w = 0; w < workers_; ++w) {
        auto seat = std::make_unique<Seat>();
        for (size_t p = 0; p < ports_.size(); ++p) {
            seat->queues.push_back(
                std::make_unique<dpdk::QueueDevice>(pool_.get(), ports_[p]->lane(w)));
            if (workers_ > 1) {
                seat->handoffs.push_back(
                    std::make_unique<dpdk::HandoffDevice>(*seat->queues[p], *meshes_[p], w));
            }
        }
        if (owners == dpdk::HandoffOwners::unknown) {
            seat->colleagues = std::make_unique<dpdk::HandoffWitnesses>();
        } else if (workers_ > 1) {
            std::vector<dpdk::HandoffDevice*> devices;
            for (auto& handoff : seat->handoffs) devices.push_back(handoff.get());
            seat->colleagues =
                std::make_unique<dpdk::HandoffColleagues>(owners_, std::move(devices), w);
        }
        seat->view = std::make_unique<dpdk::Steering::View>(dpdk::Steering::View{&steering_, w});
        seats_.push_back(std::move(seat));
    }
}

Machine::~Machine() { stop(); }

void Machine::configure(stack::WorkerConfig& config, unsigned worker,
                        const std::vector<std::vector<wire::IpPrefix>>& addresses) const {
    config.interfaces.clear();
    for (size_t i = 0; i < ports_.size(); ++i) {
        stack::InterfaceConfig interface;
        interface.mac = ports_[i]->mac();
        interface.addresses = addresses[i];
        interface.vlan = static_cast<uint16_t>(link_.vlan);
        interface.on_link = link_.on_link;
        interface.gateway = link_.gateway;
        interface.static_neighbors = link_.neighbors;
        interface.introduce_addresses = worker == 0;
        interface.device = ports_[i]->properties();
        config.interfaces.push_back(interface);
    }
    config.colleagues = seats_[worker]->colleagues.get();
    if (steering_.means() != dpdk::Steering::Means::single_queue) {
        config.port_filter = &dpdk::Steering::port_filter;
        config.port_filter_context = seats_[worker]->view.get();
    }
}

void Machine::start(unsigned index, stack::Worker& worker) {
    Seat& seat = *seats_[index];
    threads_.start(cores_[index], fmt::format("worker-{}", index),
                   [this, &seat, &worker](const std::atomic<bool>& stop) {
                       if (seat.handoffs.empty()) {
                           std::vector<dpdk::QueueDevice*> devices;
                           for (auto& queue : seat.queues) devices.push_back(queue.get());
                           run_worker<dpdk::QueueDevice>(worker, devices, clock_, seat.time, stop);
                       } else {
                           std::vector<dpdk::HandoffDevice*> devices;
                           for (auto& handoff : seat.handoffs) devices.push_back(handoff.get());
                           run_worker<dpdk::HandoffDevice>(worker, devices, clock_, seat.time,
                                                           stop);
                       }
                   });
}

void Machine::stop() {
    threads_.stop();
    threads_.join();
}

bool Machine::wait_for_links(Duration patience, const dpdk::Shutdown& shutdown) const {
    const Instant deadline = clock_.now() + patience;
    const auto all_up = [this] {
        return std::all_of(ports_.begin(), ports_.end(),
                           [](const auto& port) { return port->link_up(); });
    };
    while (!all_up()) {
        if (shutdown.requested() || clock_.now() >= deadline) return false;
        for (const auto& port : ports_) port->wait_for_link(Duration::milliseconds(50));
    }
    return true;
}

std::vector<std::string> Machine::description() const {
    std::vector<std::string> lines{eal_.description()};
    for (const auto& port : ports_) lines.push_back(port->description());
    lines.push_back(role_ == Role::client ? steering_.description()
                                          : "every worker listens; the device spreads connections");
    return lines;
}

load::RunInfo Machine::run_info(const std::string& tool, const std::string& mode) const {
    load::RunInfo info;
    info.tool = tool;
    info.version = SYNFIN_VERSION;
    info.mode = mode;
    for (size_t p = 0; p < ports_.size(); ++p) {
        const dpdk::Port& port = *ports_[p];
        info.link += (info.link.empty() ? "" : " ") + port.spec().text;
        info.notes.push_back(port.description());
        if (port.spec().kind == dpdk::DeviceKind::memif) info.notes.push_back(memif_note(p));
    }
    if (workers_ > 1 && role_ == Role::client) info.steering = steering_.description();
    info.notes.push_back(eal_.description());
    info.notes.push_back(fmt::format("{} workers", workers_));
    if (!counts_buffers()) {
        info.notes.emplace_back(
            "buffers left behind are not counted: this driver keeps some for itself to the end");
    }
    return info;
}

std::string Machine::memif_note(size_t port) const {
    uint64_t sent = 0;
    uint64_t without_driver = 0;
    for (const auto& seat : seats_) {
        const dpdk::DeviceCounters& counters = seat->queues[port]->counters();
        sent += counters.transmitted;
        without_driver += counters.without_driver;
    }
    if (sent == 0) return "memif: no frame was sent";
    if (without_driver == 0) return "memif: frames were moved by DPDK's driver";
    return "memif: frames were moved without DPDK's driver";
}

bool Machine::counts_buffers() const {
    return std::all_of(ports_.begin(), ports_.end(),
                       [](const auto& port) { return port->returns_buffers(); });
}

uint32_t Machine::leaked_buffers() {
    stop();
    const bool counts = counts_buffers();
    seats_.clear();
    meshes_.clear();
    ports_.clear();
    return counts ? pool_.in_use() : 0;
}

}  // namespace synfin::apps
