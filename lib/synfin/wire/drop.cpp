#include <synfin/wire/drop.hpp>

namespace synfin::wire {

const char* name(Drop reason) {
    switch (reason) {
#define SYNFIN_NAME(identifier, shown, text) \
    case Drop::identifier: return shown;
        SYNFIN_WIRE_DROPS(SYNFIN_NAME)
#undef SYNFIN_NAME
        case Drop::count: break;
    }
    return "?";
}

const char* description(Drop reason) {
    switch (reason) {
#define SYNFIN_DESCRIBE(identifier, shown, text) \
    case Drop::identifier: return text;
        SYNFIN_WIRE_DROPS(SYNFIN_DESCRIBE)
#undef SYNFIN_DESCRIBE
        case Drop::count: break;
    }
    return "?";
}

}  // namespace synfin::wire
