#include <synfin/wire/ethernet.hpp>

namespace synfin::wire {

L2Header make_l2_header(const MacAddress& destination, const MacAddress& source, uint16_t type,
                        std::optional<uint16_t> tag) {
    L2Header header;
    uint8_t* at = header.bytes.data();
    store_mac(at, destination);
    store_mac(at + 6, source);
    if (tag) {
        store_be16(at + 12, ethertype::vlan);
        store_be16(at + 14, *tag);
    }
    header.length = static_cast<uint8_t>(EthernetView::header_bytes +
                                         (tag ? EthernetView::tag_bytes : size_t{0}));
    store_be16(at + header.length - 2, type);
    return header;
}

}  // namespace synfin::wire
