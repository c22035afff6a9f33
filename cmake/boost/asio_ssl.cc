// The one translation unit with the bodies of Boost.Asio's TLS streams.
#include <boost/asio/ssl/impl/src.hpp>
