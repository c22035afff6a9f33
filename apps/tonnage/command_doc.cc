#include "tonnage/command_doc.h"

#include <algorithm>

namespace tonnage {
namespace {

// Of "LEVEL:{debug,info}", which is how CLI11 names a type together with what checks it.
std::vector<std::string> choices_in(std::string_view type) {
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  std::vector<std::string> choices;
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return choices;
  std::string_view list = type.substr(open + 1, close - open - 1);
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find(','));
    choices.emplace_back(one);
    list.remove_prefix(std::min(list.size(), one.size() + 1));
  }
  return choices;
}

OptionDoc option_doc(const CLI::Option& option) {
  OptionDoc doc;
  doc.positional = option.get_positional();
  doc.required = option.get_required();
  doc.description = option.get_description();
  doc.fallback = option.get_default_str();
  if (doc.positional) {
    doc.names.push_back(option.get_name(true));
  } else {
    for (const std::string& name : option.get_snames())
      doc.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames())
      doc.names.push_back("--" + name);
  }
  if (option.get_type_size() != 0) {
    const std::string type = option.get_type_name();
    doc.value = type.substr(0, type.find(':'));
    doc.choices = choices_in(type);
  }
  return doc;
}

}  // namespace

CommandDoc command_doc(const CLI::App& app) {
  CommandDoc doc;
  doc.name = app.get_name();
  doc.description = app.get_description();
  doc.group = app.get_group();
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty())
      doc.options.push_back(option_doc(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty())
      doc.commands.push_back(command_doc(*command));
  }
  return doc;
}

}  // namespace tonnage
