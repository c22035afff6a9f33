// scan_form(): the small text fields of a multipart/form-data body, read in place.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tonnage::api {

// Whether a Content-Type says multipart/form-data, in any case and with any parameters.
bool is_form(std::string_view content_type);

// The boundary parameter, quoted or not; empty when there is none or it is not a legal one
// (RFC 2046 allows 1 to 70 characters).
std::optional<std::string> form_boundary(std::string_view content_type);

// Called with each part's name and content; a file's content is passed as well, as a view.
using OnFormPart = std::function<void(std::string_view name, std::string_view content)>;

// Walks all parts (RFC 7578). Nothing is copied but part names; content is searched for the
// boundary only. Empty on success, else what is wrong, for people.
std::optional<std::string> scan_form(std::string_view body, std::string_view boundary,
                                     const OnFormPart& on_part);

}  // namespace tonnage::api
