#include <array>
#include <cerrno>
#include <system_error>

#include <synfin/wire/pcap.hpp>

namespace synfin::wire {

namespace {

// The format is in the writer's byte order; the magic number tells the reader which that is.
struct FileHeader {
    uint32_t magic = 0xa1b23c4d;  // timestamps in nanoseconds
    uint16_t version_major = 2;
    uint16_t version_minor = 4;
    int32_t time_zone = 0;
    uint32_t time_accuracy = 0;
    uint32_t frame_bytes_max = 262144;
    uint32_t link_type = 1;  // Ethernet
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
    uint32_t seconds;
    uint32_t nanoseconds;
    uint32_t bytes_kept;
    uint32_t bytes_on_wire;
};
static_assert(sizeof(RecordHeader) == 16);

template <typename T>
void write_raw(std::ofstream& file, const T& value) {
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

PcapWriter::PcapWriter(const std::string& path) {
    errno = 0;
    file_.open(path, std::ios::binary | std::ios::trunc);
    if (!file_) throw std::system_error{errno, std::generic_category(), "cannot create " + path};
    write_raw(file_, FileHeader{});
}

void PcapWriter::write(std::span<const uint8_t> frame, Instant time) {
    const auto length = static_cast<uint32_t>(frame.size());
    write_raw(file_,
              RecordHeader{static_cast<uint32_t>(time.ns() / 1'000'000'000),
                           static_cast<uint32_t>(time.ns() % 1'000'000'000), length, length});
    file_.write(reinterpret_cast<const char*>(frame.data()),
                static_cast<std::streamsize>(frame.size()));
}

bool PcapWriter::flush() {
    file_.flush();
    return file_.good();
}

}  // namespace synfin::wire
