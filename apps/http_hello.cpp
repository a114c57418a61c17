// How to embed synfin: a web server with one page.
//
//     http_hello tap:hello0 198.18.0.0/15 198.18.0.1:80
//
// The page is sent without being copied. Of a connection nothing is kept but the state of its
// parser, in a place that its index names.
#include <array>
#include <vector>

#include <synfin/http/message.hpp>
#include <synfin/http/request_parser.hpp>
#include <synfin/stack/application.hpp>
#include <synfin/stack/worker.hpp>

#include "one_core.hpp"

using namespace synfin;

namespace {

constexpr uint32_t max_connections = 65536;

class Hello : public stack::Application {
    void on_established(stack::Worker&, stack::ConnectionId id) override {
        parsers_[id.index] = {};
    }
    size_t on_data(stack::Worker& worker, stack::ConnectionId id,
                   std::span<const uint8_t> data) override {
        using Status = http::RequestParser::Status;
        for (auto rest = data; !rest.empty();) {
            const auto request = parsers_[id.index].parse(rest);
            if (request.status == Status::need_more) break;
            rest = rest.subspan(request.consumed);
            const bool answered = request.status == Status::complete &&
                                  worker.send_static(id, page_.all()) == page_.all().size();
            if (answered && request.request.keep_alive) continue;
            worker.close(id);
            break;
        }
        return data.size();
    }
    void on_writable(stack::Worker&, stack::ConnectionId) override {}
    void on_peer_closed(stack::Worker& worker, stack::ConnectionId id) override {
        worker.close(id);
    }
    void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason) override {}

    static constexpr std::array<uint8_t, 7> text_{'H', 'e', 'l', 'l', 'o', '.', '\n'};
    http::Response page_ = http::make_response(200, true, text_);
    std::vector<http::RequestParser> parsers_{max_connections};
};

}  // namespace

int main(int argc, char** argv) {
    Hello hello;
    stack::WorkerConfig limits;
    limits.max_connections = max_connections;
    return examples::run(argc, argv, hello, limits);
}
