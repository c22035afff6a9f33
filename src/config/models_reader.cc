#include "config/models_reader.h"

#include <algorithm>
#include <utility>

#include "config/command_words.h"

namespace tonnage {
namespace {

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+ -";

// Names that requests use for something else than one configured model.
constexpr std::string_view kReserved[] = {"resident", "auto"};

}  // namespace

std::string wrong_model_name(std::string_view name) {
  if (name.empty())
    return "it is empty";
  if (name.size() > kModelNameBytesMax) {
    return "it is longer than " + std::to_string(kModelNameBytesMax) + " characters";
  }
  if (std::ranges::find(kReserved, name) != std::end(kReserved)) {
    return "this name has a meaning of its own; choose another";
  }
  if (const std::size_t bad = name.find_first_not_of(kNameCharacters);
      bad != std::string_view::npos) {
    // A byte of a longer UTF-8 sequence would not show.
    const bool ascii = static_cast<unsigned char>(name[bad]) < 0x80;
    return (ascii ? in_quotes(name.substr(bad, 1)) : "a character outside of ASCII") +
           std::string(" is not allowed; use letters, digits, spaces and . _ : / @ + -");
  }
  if (name.front() == ' ' || name.back() == ' ')
    return "it begins or ends with a space";
  if (name.find_first_not_of("./ ") == std::string_view::npos) {
    return "it needs a letter or a digit";
  }
  return {};
}

// Each run of other characters becomes one '-'. A name of nothing else gets a number that follows
// from it, so that it is the same at each start.
std::string model_name_of(std::string_view name) {
  if (wrong_model_name(name).empty())
    return std::string(name);
  std::string id;
  for (const char c : name) {
    if (kNameCharacters.find(c) != std::string_view::npos) {
      id += c;
      continue;
    }
    id.resize(id.find_last_not_of(' ') + 1);
    if (!id.empty() && id.back() != '-')
      id += '-';
  }
  const std::size_t first = id.find_first_not_of(" -");
  const std::size_t last = id.find_last_not_of(" -");
  id = first == std::string::npos ? std::string() : id.substr(first, last - first + 1);
  std::uint32_t number = 2166136261U;
  for (const char c : name)
    number = (number ^ static_cast<unsigned char>(c)) * 16777619U;
  if (id.size() > kModelNameBytesMax)
    id = id.substr(0, kModelNameBytesMax - 12) + "-" + std::to_string(number);
  if (id.find_first_not_of("./ -_+:@") == std::string::npos)
    id = "model-" + std::to_string(number);
  if (std::ranges::find(kReserved, id) != std::end(kReserved))
    id += "-model";
  return id;
}

void ModelsReader::read_file(const NestedNode& models) {
  Problems& problems = reader_.problems();
  if (models.node->kind != Node::Kind::map) {
    problems.add(models.origin, "models: " + describe(*models.node) + " is given, but " +
                                    wanted(*models.spec) + " is wanted");
    return;
  }
  std::map<std::string, int> lines;
  for (const NodeEntry& entry : models.node->entries) {
    const Origin where = reader_.origin(entry.key, *models.node);
    if (entry.key.kind != Node::Kind::scalar) {
      problems.add(where, describe(entry.key) + " is not a model id");
      continue;
    }
    const std::string& id = entry.key.text;
    const auto [first, fresh] = lines.try_emplace(id, where.line);
    if (!fresh) {
      problems.add(where, "duplicate model " + in_quotes(id) +
                              "; it is already configured on line " +
                              std::to_string(first->second));
    } else if (const std::string wrong = wrong_model_name(id); !wrong.empty()) {
      problems.add(where, in_quotes(id) + " is not a model id: " + wrong);
    } else if (lines.size() > kModelsMax) {
      problems.add(where, "more than " + std::to_string(kModelsMax) + " models");
      return;
    } else {
      read_model(id, entry, where);
    }
  }
}

void ModelsReader::read_model(const std::string& id, const NodeEntry& entry, const Origin& where) {
  const std::string name = "models." + id;
  if (entry.value.kind != Node::Kind::map && entry.value.kind != Node::Kind::null) {
    reader_.problems().add(reader_.origin(entry.value, entry.key),
                           name + ": " + describe(entry.value) +
                               " is given, but a map of model keys is "
                               "wanted, at least 'gguf: FILE'");
    return;
  }
  ModelDraft draft = start_;
  KeyTarget target{.model = &draft};
  const auto nested = reader_.read(entry.value, {KeyScope::model, "", name}, target);
  for (const NestedNode& node : nested)
    read_ladder(node, name + ".ladder", draft);
  environment_.apply_model(reader_, id, target);
  const auto names = [&](std::string_view key) {
    return std::ranges::any_of(entry.value.entries, [key](const NodeEntry& e) {
      return e.key.kind == Node::Kind::scalar && e.key.text == key;
    });
  };
  // A key whose value is wrong was reported already.
  if (!names("gguf") && !names("command") && draft.config.gguf.empty() &&
      draft.config.command.empty()) {
    reader_.problems().add(where, name +
                                      ": the file is missing; add 'gguf: FILE', or 'command: "
                                      "[PROGRAM, ...]' for a server of your own");
  }
  for (const std::string& problem : source_problems(draft.config, reader_.paths(), names("memory")))
    reader_.problems().add(where, name + "." + problem);
  complete(id, std::move(draft), where);
}

void ModelsReader::add_found(const FoundModel& found) {
  const Origin where{"flag --models"};
  if (const std::string wrong = wrong_model_name(found.id); !wrong.empty()) {
    reader_.problems().add(where, found.gguf.string() + ": " + in_quotes(found.id) +
                                      " cannot be a model id: " + wrong +
                                      "; rename the file or write a configuration");
    return;
  }
  ModelDraft draft = start_;
  draft.config.gguf = found.gguf;
  KeyTarget target{.model = &draft};
  environment_.apply_model(reader_, found.id, target);
  complete(found.id, std::move(draft), where);
}

void ModelsReader::read_ladder(const NestedNode& ladder, const std::string& name,
                               ModelDraft& draft) {
  Problems& problems = reader_.problems();
  if (ladder.node->kind != Node::Kind::list) {
    problems.add(ladder.origin, name + ": " + describe(*ladder.node) + " is given, but " +
                                    wanted(*ladder.spec) + " is wanted");
    return;
  }
  // The configured placement is a row as well.
  if (ladder.node->items.size() + 1 > kPlacementRowsMax) {
    problems.add(ladder.origin,
                 name + ": more than " + std::to_string(kPlacementRowsMax - 1) + " steps");
    return;
  }
  for (const Node& item : ladder.node->items) {
    const std::string step = name + "[" + std::to_string(draft.config.ladder.size() + 1) + "]";
    read_step(item, step, reader_.origin(item, *ladder.node), draft);
  }
}

void ModelsReader::read_step(const Node& item, const std::string& name, const Origin& where,
                             ModelDraft& draft) {
  LadderStep step;
  KeyTarget target{.step = &step};
  if (item.kind != Node::Kind::map || item.entries.empty()) {
    reader_.problems().add(where, name + ": " + describe(item) +
                                      " is given, but a map such as {context: 2048} is wanted");
  } else {
    reader_.read(item, {KeyScope::step, "", name}, target);
  }
  draft.config.ladder.push_back(step);
}

void ModelsReader::complete(const std::string& id, ModelDraft draft, const Origin& where) {
  Problems& problems = reader_.problems();
  const Placement& top = draft.config.configured;
  for (const LadderStep& step : draft.config.ladder) {
    const Placement lesser = apply(step, top);
    const bool more_layers = draft.config.gpu_layers && lesser.gpu_layers > top.gpu_layers;
    if (lesser.context > top.context || lesser.slots > top.slots || more_layers) {
      problems.add(where, "models." + id +
                              ".ladder: a step asks for more than the model itself; "
                              "steps go down from context " +
                              std::to_string(top.context) + " and " + std::to_string(top.slots) +
                              " slots" +
                              (more_layers ? ", with " + std::to_string(top.gpu_layers) + " layers"
                                           : std::string()));
    }
  }
  draft.policy.id = id;
  draft.policy.type = draft.config.type.value_or(ModelType::llm);
  if (!draft.config.concurrency_given)
    draft.policy.in_flight_max = top.slots;
  models_.push_back({id, std::move(draft), where});
}

void ModelsReader::claim_names() {
  Problems& problems = reader_.problems();
  for (std::size_t i = 0; i < models_.size(); ++i) {
    const Named& model = models_[i];
    if (!names_.try_emplace(model.id, i).second) {
      problems.add(model.where, "duplicate model " + in_quotes(model.id) +
                                    "; it is in the file and in the folder, or twice in one");
    }
  }
  for (std::size_t i = 0; i < models_.size(); ++i) {
    const Named& model = models_[i];
    const std::string path = "models." + model.id + ".aliases";
    for (const std::string& alias : model.draft.config.aliases) {
      Origin where = reader_.sources().origin_of(path);
      if (where.name.empty())
        where = model.where;
      if (const std::string wrong = wrong_model_name(alias); !wrong.empty()) {
        problems.add(where, path + ": " + in_quotes(alias) + " is not a model name: " + wrong);
        continue;
      }
      const auto [other, fresh] = names_.try_emplace(alias, i);
      if (fresh)
        continue;
      const std::string& owner = models_[other->second].id;
      const std::string what = owner == alias      ? "is the id of a model"
                               : owner == model.id ? "is listed twice"
                                                   : "is already an alias of " + in_quotes(owner);
      problems.add(where,
                   path + ": " + in_quotes(alias) + " " + what + "; every name must be unique");
    }
  }
}

void ModelsReader::finish(Config& config) {
  claim_names();
  for (Named& model : models_) {
    config.models.push_back(std::move(model.draft.config));
    config.policy.models.push_back(std::move(model.draft.policy));
  }
}

}  // namespace tonnage
