// How to embed synfin: an echo server (RFC 862).
//
//     echo tap:echo0 198.18.0.0/15 198.18.0.1:7
#include <synfin/stack/application.hpp>
#include <synfin/stack/worker.hpp>

#include "one_core.hpp"

using namespace synfin;

namespace {

class Echo : public stack::Application {
    void on_established(stack::Worker&, stack::ConnectionId) override {}
    // What cannot be sent now stays unread, and the peer's window closes.
    size_t on_data(stack::Worker& worker, stack::ConnectionId id,
                   std::span<const uint8_t> data) override {
        return worker.send(id, data);
    }
    void on_writable(stack::Worker& worker, stack::ConnectionId id) override {
        for (auto piece = worker.unread(id); !piece.empty(); piece = worker.unread(id)) {
            const size_t taken = worker.send(id, piece);
            worker.consume(id, taken);
            if (taken < piece.size()) return;
        }
    }
    void on_peer_closed(stack::Worker& worker, stack::ConnectionId id) override {
        worker.close(id);
    }
    void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason) override {}
};

}  // namespace

int main(int argc, char** argv) {
    Echo echo;
    return examples::run(argc, argv, echo);
}
