// A libtorch, opened at run time.

#define _GNU_SOURCE
#include "CTorch.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRED(field, name) {name, offsetof(struct ott_torch, field), 1}
#define OPTIONAL(field, name) {name, offsetof(struct ott_torch, field), 0}

static const struct {
  const char *name;
  size_t offset;
  int is_required;
} symbols[] = {
    REQUIRED(abi_version, "aoti_torch_abi_version"),
    REQUIRED(dtype_float32, "aoti_torch_dtype_float32"),
    REQUIRED(dtype_float64, "aoti_torch_dtype_float64"),
    REQUIRED(dtype_bfloat16, "aoti_torch_dtype_bfloat16"),
    REQUIRED(dtype_int32, "aoti_torch_dtype_int32"),
    REQUIRED(dtype_int64, "aoti_torch_dtype_int64"),
    REQUIRED(device_cpu, "aoti_torch_device_type_cpu"),
    REQUIRED(device_cuda, "aoti_torch_device_type_cuda"),
    REQUIRED(grad_mode, "aoti_torch_grad_mode_set_enabled"),
    OPTIONAL(call, "torch_call_dispatcher"),
    OPTIONAL(new_list, "torch_new_list_reserve_size"),
    OPTIONAL(push, "torch_list_push_back"),
    OPTIONAL(new_string, "torch_new_string_handle"),
    REQUIRED(new_handle, "aoti_torch_new_tensor_handle"),
    REQUIRED(delete_tensor, "aoti_torch_delete_tensor_object"),
    REQUIRED(dimensions, "aoti_torch_get_dim"),
    REQUIRED(sizes, "aoti_torch_get_sizes"),
    REQUIRED(strides, "aoti_torch_get_strides"),
    REQUIRED(dtype, "aoti_torch_get_dtype"),
    REQUIRED(empty, "aoti_torch_empty_strided"),
    REQUIRED(from_memory, "aoti_torch_create_tensor_from_blob"),
    REQUIRED(reinterpret, "aoti_torch__reinterpret_tensor"),
    REQUIRED(empty_pinned, "aoti_torch_empty_strided_pinned"),
    REQUIRED(address, "aoti_torch_get_data_ptr"),
    REQUIRED(copy, "aoti_torch_copy_"),
    REQUIRED(zero, "aoti_torch_zero_"),
    REQUIRED(fill, "aoti_torch_aten_fill__Scalar"),
    REQUIRED(number, "aoti_torch_scalar_to_tensor_float32"),
    REQUIRED(mm_out, "aoti_torch_mm_out"),
    REQUIRED(bmm_out, "aoti_torch_bmm_out"),
    REQUIRED(addmm_out, "aoti_torch_addmm_out"),
    OPTIONAL(subtract, "aoti_torch_aten_subtract_Tensor"),
    OPTIONAL(what, "torch_exception_get_what_without_backtrace"),
    OPTIONAL(context, "_ZN2at13globalContextEv"),
    OPTIONAL(set_deterministic, "_ZN2at7Context26setDeterministicAlgorithmsEbb"),
};

int ott_torch_open(const char *path, struct ott_torch *torch, char *text, size_t capacity) {
  // Its own symbols first: the program may have other functions of the same names, such as those of a
  // BLAS.
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (!library) {
    snprintf(text, capacity, "%s", dlerror());
    return 1;
  }
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    void *symbol = dlsym(library, symbols[i].name);
    if (!symbol && symbols[i].is_required) {
      snprintf(text, capacity, "%s", symbols[i].name);
      return 2;
    }
    memcpy((char *)torch + symbols[i].offset, &symbol, sizeof symbol);
  }
  return 0;
}

int ott_torch_add(const char *path, char *text, size_t capacity) {
  if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND)) return 0;
  snprintf(text, capacity, "%s", dlerror());
  return 1;
}

uint64_t *ott_torch_optional(uint64_t value) {
  uint64_t *place = malloc(sizeof *place);
  if (!place) abort();
  *place = value;
  return place;
}
