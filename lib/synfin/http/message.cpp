#include <algorithm>
#include <cstdio>

#include <synfin/http/message.hpp>

namespace synfin::http {

namespace {

constexpr size_t body_line_bytes = 64;

void append(std::vector<uint8_t>& to, std::string_view text) {
    to.insert(to.end(), text.begin(), text.end());
}

}  // namespace

std::string_view reason_phrase(uint16_t status_code) {
    switch (status_code) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 431: return "Request Header Fields Too Large";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: return "";
    }
}

Response make_response(uint16_t status_code, bool keep_alive, std::span<const uint8_t> body) {
    Response response;
    append(response.bytes, "HTTP/1.1 " + std::to_string(status_code) + " ");
    append(response.bytes, reason_phrase(status_code));
    append(response.bytes, "\r\nServer: synfin\r\nContent-Type: text/plain\r\nContent-Length: ");
    append(response.bytes, std::to_string(body.size()));
    append(response.bytes, keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
    response.header_bytes = response.bytes.size();
    response.bytes.insert(response.bytes.end(), body.begin(), body.end());
    return response;
}

std::vector<uint8_t> make_request(std::string_view host, std::string_view target, bool keep_alive) {
    std::vector<uint8_t> bytes;
    append(bytes, "GET ");
    append(bytes, target);
    append(bytes, " HTTP/1.1\r\nHost: ");
    append(bytes, host);
    append(bytes, keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
    return bytes;
}

std::vector<uint8_t> make_body(size_t bytes) {
    std::vector<uint8_t> body;
    body.reserve(bytes + body_line_bytes);
    for (size_t line = 0; body.size() < bytes; ++line) {
        char number[24];
        const int digits = std::snprintf(number, sizeof number, "%015zu ", line);
        append(body, {number, static_cast<size_t>(digits)});
        while (body.size() % body_line_bytes != body_line_bytes - 1) {
            body.push_back(static_cast<uint8_t>('!' + (body.size() + line) % 94));
        }
        body.push_back('\n');
    }
    body.resize(bytes);
    return body;
}

}  // namespace synfin::http
