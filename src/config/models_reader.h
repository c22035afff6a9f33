// ModelsReader: the models of a configuration, their names and their ladders.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/overlay.h"
#include "config/reader.h"

namespace tonnage {

// Enough for any machine, and what the core is measured with, many times over.
inline constexpr std::size_t kModelsMax = 4'096;
inline constexpr std::size_t kModelNameBytesMax = 200;

// An id for a file with this name: as it is where it may be one.
std::string model_name_of(std::string_view name);

// What is wrong with an id or alias, as the end of a sentence; empty when nothing is.
std::string wrong_model_name(std::string_view name);

class ModelsReader {
 public:
  // `start` is what every model begins with. All references must outlive the reader.
  ModelsReader(KeyReader& reader, EnvironmentOverlay& environment, const ModelDraft& start)
      : reader_(reader), environment_(environment), start_(start) {}

  void read_file(const NestedNode& models);
  void add_found(const FoundModel& found);

  // Moves the models into `config`, in the order read. `names` then maps every id and alias to it.
  void finish(Config& config);
  const std::map<std::string, std::size_t, std::less<>>& names() const { return names_; }

 private:
  void read_model(const std::string& id, const NodeEntry& entry, const Origin& where);
  void read_ladder(const NestedNode& ladder, const std::string& name, ModelDraft& draft);
  void read_step(const Node& item, const std::string& name, const Origin& where, ModelDraft& draft);
  void complete(const std::string& id, ModelDraft draft, const Origin& where);
  void claim_names();

  struct Named {
    std::string id;
    ModelDraft draft;
    Origin where;
  };

  KeyReader& reader_;
  EnvironmentOverlay& environment_;
  const ModelDraft& start_;
  std::vector<Named> models_;
  std::map<std::string, std::size_t, std::less<>> names_;
};

}  // namespace tonnage
