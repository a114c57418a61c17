// How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation): the octets that have
// arrived between the transmission of a segment and its ACK, over the longer of the time in which
// they were sent and the time in which they were acknowledged.
//
// What the estimate needs to know of a transmission is where the connection stood at its moment. So
// it is kept by moments, not by segments: `departures` is a short log of them, and a segment
// belongs to the last one at or before its own transmission. What leaves within a 16th of a round
// trip shares one; when the log is full, the oldest is forgotten, and the estimates of what was
// sent before it reach back less far.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <synfin/tcp/flight.hpp>

namespace synfin::tcp {

/// What one ACK tells of the path.
struct RateSample {
    uint64_t bytes_per_second = 0;  ///< 0: it allows no estimate
    uint32_t rtt_us = 0;            ///< 0: nothing arrived that was sent only once
    uint32_t prior_delivered = 0;   ///< of the last that was sent, of what has arrived
    bool any = false;               ///< something has arrived
    bool application_limited = false;
};

class DeliveryRate {
  public:
    /// Octets that have arrived so far.
    uint32_t delivered() const { return delivered_; }
    /// The application gave less to send than the window allowed, and that is still under way.
    bool application_limited() const { return application_limited_; }

    /// Something leaves, with `in_flight` before it.
    void on_departure(uint32_t now_us, uint32_t in_flight, uint32_t together_us);

    /// Everything is sent, and there was room for more.
    void limit_by_application(uint32_t in_flight) {
        application_limited_ = true;
        limited_until_ = delivered_ + in_flight;
    }

    /// An ACK has brought `delivery`. Rates over less than `min_rtt_us` are not believed.
    RateSample on_delivery(const Delivery& delivery, uint32_t min_rtt_us, uint32_t now_us);

  private:
    struct Departure {
        uint32_t at_us = 0;
        uint32_t delivered = 0;
        uint32_t delivered_us = 0;
        uint32_t first_sent_us = 0;
        bool application_limited = false;
    };

    Departure& newest() { return departures_[newest_]; }

    const Departure& departure_of(uint32_t sent_us) const;

    std::array<Departure, 64> departures_;  ///< a ring, four round trips long
    size_t newest_ = 0;
    size_t count_ = 0;
    uint32_t delivered_ = 0;
    uint32_t delivered_us_ = 0;   ///< when that was
    uint32_t first_sent_us_ = 0;  ///< when the last that has arrived was sent
    uint32_t limited_until_ = 0;
    bool application_limited_ = false;
};

}  // namespace synfin::tcp
