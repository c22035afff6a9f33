// openapi_json: the contract of the HTTP API as an OpenAPI 3.1 document.
#pragma once

#include <string>
#include <string_view>

#include "api/json_shapes.h"

namespace tonnage::api {

// One complete JSON text. What it says of paths and scopes is what route() serves; a test compares.
// `keys`: whether requests need one here.
std::string openapi_json(std::string_view version, bool keys);

// components.schemas of the document.
OrderedJson openapi_schemas();
// Its parts about what is sent to the doors, and about errors.
void add_request_schemas(OrderedJson& schemas);
void add_error_schemas(OrderedJson& schemas);

}  // namespace tonnage::api
