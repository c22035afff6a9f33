#include "engine/llama/model_plan.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

ModelFile file(FileRole role, std::string path, Bytes size) {
  return {.role = role, .path = std::move(path), .id = FileId(1), .size = size};
}

TEST(FileSizes, AreNamedWhereThereAreSeveralFiles) {
  ModelFiles files{{file(FileRole::model, "/m/a-00001-of-00002.gguf", 1_GiB),
                    file(FileRole::model, "/m/a-00002-of-00002.gguf", 1_GiB)}};
  EXPECT_EQ(file_sizes(files), "") << "parts are one file";
  files.files.push_back(file(FileRole::draft, "/m/d.gguf", 512_MiB));
  files.files.push_back(file(FileRole::adapter, "/m/x.gguf", 8_MiB));
  files.files.push_back(file(FileRole::adapter, "/m/y.gguf", 9_MiB));
  files.files.push_back(file(FileRole::other, "/m/template.jinja", 1_MiB));
  EXPECT_EQ(file_sizes(files),
            "a-00001-of-00002.gguf 2.00 GiB, draft d.gguf 512 MiB, adapter x.gguf 8 MiB, adapter "
            "y.gguf 9 MiB");
}

}  // namespace
}  // namespace tonnage
