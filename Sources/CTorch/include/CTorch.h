#pragma once

#include <stddef.h>
#include <stdint.h>

// libtorch, opened at run time: its C functions as torch/csrc/inductor/aoti_torch/c/shim.h and
// torch/csrc/stable/c/shim.h declare them. No header of it is needed to build.

/// An owning handle of a tensor.
typedef struct ott_tensor_opaque *ott_tensor;

/// What the program calls of a libtorch. Each function that returns an int32_t and takes a result by
/// pointer returns 0, or else has left a message with `what`.
struct ott_torch {
  /// Major, minor and patch in the highest three bytes.
  uint64_t (*abi_version)(void);
  int32_t (*dtype_float32)(void);
  int32_t (*dtype_float64)(void);
  int32_t (*dtype_bfloat16)(void);
  int32_t (*dtype_int32)(void);
  int32_t (*dtype_int64)(void);
  int32_t (*device_cpu)(void);
  int32_t (*device_cuda)(void);
  void (*grad_mode)(_Bool is_enabled);
  /// Operator, overload, arguments, which its results replace, version of the caller. Handles among the
  /// arguments are given away; those among the results are the caller's.
  int32_t (*call)(const char *name, const char *overload, uint64_t *stack, uint64_t version);
  int32_t (*new_list)(size_t size, void **list);
  int32_t (*push)(void *list, uint64_t element);
  int32_t (*new_string)(const char *bytes, size_t count, void **string);
  int32_t (*new_handle)(ott_tensor tensor, ott_tensor *result);
  int32_t (*delete_tensor)(ott_tensor tensor);
  int32_t (*dimensions)(ott_tensor tensor, int64_t *result);
  int32_t (*sizes)(ott_tensor tensor, int64_t **result);
  int32_t (*strides)(ott_tensor tensor, int64_t **result);
  int32_t (*dtype)(ott_tensor tensor, int32_t *result);
  int32_t (*empty)(int64_t dimensions, const int64_t *sizes, const int64_t *strides, int32_t dtype,
                   int32_t device, int32_t index, ott_tensor *result);
  int32_t (*from_memory)(void *data, int64_t dimensions, const int64_t *sizes,
                         const int64_t *strides, int64_t offset, int32_t dtype, int32_t device,
                         int32_t index, ott_tensor *result);
  /// A view: other sizes and strides, so many elements further on.
  int32_t (*reinterpret)(ott_tensor tensor, int64_t dimensions, const int64_t *sizes,
                         const int64_t *strides, int64_t offset, ott_tensor *result);
  /// Of this machine's memory, in pages that a GPU reads and writes by itself; arguments as of `empty`.
  int32_t (*empty_pinned)(int64_t dimensions, const int64_t *sizes, const int64_t *strides,
                          int32_t dtype, int32_t device, int32_t index, ott_tensor *result);
  int32_t (*address)(ott_tensor tensor, void **result);
  int32_t (*copy)(ott_tensor target, ott_tensor source, int32_t does_not_wait);
  int32_t (*zero)(ott_tensor tensor);
  int32_t (*fill)(ott_tensor tensor, double value);
  /// A number without dimensions, of single precision, in this machine's memory: any device takes it as a
  /// factor.
  int32_t (*number)(float value, ott_tensor *result);
  int32_t (*mm_out)(ott_tensor out, ott_tensor a, ott_tensor b);
  int32_t (*bmm_out)(ott_tensor out, ott_tensor a, ott_tensor b);
  /// out = beta · x + alpha · a·b.
  int32_t (*addmm_out)(ott_tensor out, ott_tensor x, ott_tensor a, ott_tensor b, float beta,
                       float alpha);
  /// a − alpha · b.
  int32_t (*subtract)(ott_tensor a, ott_tensor b, double alpha, ott_tensor *result);
  /// The message of the last error of this thread; null before 2.13, which writes it to standard error.
  const char *(*what)(void);
  /// at::globalContext() and at::Context::setDeterministicAlgorithms(bool, bool): C++ functions without a
  /// counterpart in C.
  void *(*context)(void);
  void (*set_deterministic)(void *context, _Bool is_deterministic, _Bool only_warns);
};

/// Opens the library at `path` and fills `torch`; returns 0, or, with the loader's words or the name of
/// the missing symbol in `text`, 1 where it cannot be opened and 2 where it lacks a symbol.
int ott_torch_open(const char *path, struct ott_torch *torch, char *text, size_t capacity);

/// Opens a library that registers operators when it is opened; as `ott_torch_open`.
int ott_torch_add(const char *path, char *text, size_t capacity);

/// Room for an optional argument of a call, which the callee deletes.
uint64_t *ott_torch_optional(uint64_t value);
