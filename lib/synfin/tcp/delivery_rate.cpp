#include <algorithm>

#include <synfin/tcp/delivery_rate.hpp>

namespace synfin::tcp {

namespace {

const Delivery::Latest& last_sent(const Delivery& d) {
    if (!d.original.any) return d.again;
    if (!d.again.any) return d.original;
    const bool again = sent_after(d.again.sent_us, d.again.end, d.original.sent_us, d.original.end);
    return again ? d.again : d.original;
}

}  // namespace

void DeliveryRate::on_departure(uint32_t now_us, uint32_t in_flight, uint32_t together_us) {
    if (in_flight == 0) {
        first_sent_us_ = delivered_us_ = now_us;
    } else if (count_ > 0 && now_us - newest().at_us <= together_us) {
        newest().application_limited |= application_limited_;
        return;
    }
    if (count_ < departures_.size()) ++count_;
    newest_ = (newest_ + 1) % departures_.size();
    newest() = {now_us, delivered_, delivered_us_, first_sent_us_, application_limited_};
}

const DeliveryRate::Departure& DeliveryRate::departure_of(uint32_t sent_us) const {
    size_t place = newest_;
    for (size_t older = count_ - 1; older > 0; --older) {
        if (static_cast<int32_t>(sent_us - departures_[place].at_us) >= 0) break;
        place = (place + departures_.size() - 1) % departures_.size();
    }
    return departures_[place];
}

RateSample DeliveryRate::on_delivery(const Delivery& delivery, uint32_t min_rtt_us,
                                     uint32_t now_us) {
    RateSample sample;
    if (delivery.bytes == 0 || count_ == 0) return sample;
    delivered_ += delivery.bytes;
    delivered_us_ = now_us;
    if (application_limited_ && static_cast<int32_t>(delivered_ - limited_until_) > 0) {
        application_limited_ = false;
    }
    const Delivery::Latest& last = last_sent(delivery);
    const Departure& departure = departure_of(last.sent_us);
    sample.any = true;
    sample.prior_delivered = departure.delivered;
    sample.application_limited = departure.application_limited;
    if (delivery.original.any) sample.rtt_us = std::max(now_us - delivery.original.sent_us, 1u);
    const uint32_t interval_us =
        std::max(last.sent_us - departure.first_sent_us, now_us - departure.delivered_us);
    first_sent_us_ = last.sent_us;
    // Less than a round trip cannot be: an earlier transmission was acknowledged.
    if (interval_us > 0 && interval_us >= min_rtt_us) {
        sample.bytes_per_second =
            uint64_t{delivered_ - departure.delivered} * 1'000'000 / interval_us;
    }
    return sample;
}

}  // namespace synfin::tcp
