"""Writes a GGUF file anew with its Q4_1 tensors as Q4_0, the 4-bit form that llama.cpp is fastest with on a CPU.

The numbers are those of the file, quantized once more; everything else, the 8-bit embedding too, stays as it is.

Arguments: the file, the new file.
"""

import sys

import gguf
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

source, target = sys.argv[1:]
reader = gguf.GGUFReader(source)
architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
writer = gguf.GGUFWriter(target, architecture)

for field in reader.fields.values():
    name = field.name
    if name.startswith("GGUF.") or name == gguf.Keys.General.ARCHITECTURE:
        continue
    value = field.contents()
    if name == gguf.Keys.General.FILE_TYPE:
        value = int(gguf.LlamaFileType.MOSTLY_Q4_0)
    kind, *inner = field.types
    writer.add_key_value(name, value, kind, sub_type=inner[-1] if inner else None)

n_requantized = 0
for tensor in reader.tensors:
    data, kind = tensor.data, tensor.tensor_type
    if kind == Type.Q4_1:
        data, kind = quantize(dequantize(data, kind), Type.Q4_0), Type.Q4_0
        n_requantized += 1
    writer.add_tensor(tensor.name, data, raw_dtype=kind)
if n_requantized == 0:
    sys.exit(f"`{source}` has no Q4_1 tensors")

writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
