"""Layers that compute no sums against hls4ml's own kernels, in arrays and in streams, on every value of small types."""

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from networks import random_raw

from codesign.fixed import FixedPoint, Ints, quantise, to_real, wrap
from codesign.network import Kind, Layer, Parameter, passed
from codesign.network.passive import check_sources, refused_in_streams
from codesign.network.tables import SPANS, activation_table, exponential_table, inverse_table

F = FixedPoint.parse
SOURCES = [F(t) for t in ("fixed<9,4>", "ufixed<8,3>", "fixed<6,6>", "fixed<6,8>", "fixed<8,0>", "ufixed<5,-1>")]
RESULTS = [F(t) for t in ("fixed<14,6,RND_CONV,SAT>", "fixed<9,3>", "ufixed<7,2,TRN,SAT>")]
TABLE = F("fixed<18,8>")
HALF = Parameter(np.array([2]), F("ufixed<2,0>"))
FIFTH = Parameter(quantise([0.2], F("ufixed<16,0>")), F("ufixed<16,0>"))
SLOPE = Parameter(np.array([-77]), F("fixed<8,0>"))

PROGRAM = """
#include "nnet_utils/nnet_activation_stream.h"
#include "nnet_utils/nnet_pooling_stream.h"
#include "nnet_utils/nnet_image.h"
#include "nnet_utils/nnet_image_stream.h"
#include <cstdio>
template <class T> T word(long long raw) { T x; x.range() = raw; return x; }
static const long long *input;
template <class T> void take(T *x, int n) { for (int i = 0; i < n; i++) x[i] = word<T>(*input++); }
template <class T> void give(const T *x, int n) {
  for (int i = 0; i < n; i++) { double v = x[i].to_double(); std::fwrite(&v, sizeof v, 1, stdout); }
}
template <class T, unsigned P> void take(hls::stream<nnet::array<T, P>> &s, int n) {
  for (int i = 0; i < n; i += P) { nnet::array<T, P> x; take(x.data, P); s.write(x); }
}
template <class T, unsigned P> void give(hls::stream<nnet::array<T, P>> &s, int n) {
  for (int i = 0; i < n; i += P) { nnet::array<T, P> x = s.read(); give(x.data, P); }
}
CONFIGS
int main() {
  static long long words[1000000];
  if (!std::fread(words, sizeof *words, 1000000, stdin)) return 1;
  input = words;
CALLS
}
"""


def activations() -> list[tuple[Layer, FixedPoint]]:
    found = []
    numbers = {"leaky_relu": (SLOPE,), "hard_sigmoid": (HALF, HALF), "hard_tanh": (HALF, HALF)}
    functions = ["linear", "binary_tanh", "ternary_tanh", *numbers, *SPANS]
    for source in SOURCES:
        for place, function in enumerate(functions):
            tables = numbers.get(function, ())
            if function in SPANS:
                extra = (SLOPE,) if function == "elu" else ()
                tables = (activation_table(function, 128 if place % 2 else 1024, TABLE), *extra)
            result = F("fixed<3,3>") if function.endswith("ary_tanh") else RESULTS[len(found) % len(RESULTS)]
            name = f"layer{len(found)}"
            found.append((Layer.activation(name, (1 << source.width,), function, result, tables=tables), source))
    source = SOURCES[0]
    fifth = Layer.activation("keras", (1 << source.width,), "hard_sigmoid", RESULTS[0], tables=(FIFTH, HALF))
    relu = Layer.relu("relu", 1 << source.width, RESULTS[1])
    return [*found, (fifth, source), (relu, source)]


def pools() -> list[tuple[Layer, FixedPoint]]:
    found = []
    for n, source in enumerate(SOURCES):
        exact = FixedPoint(source.width + 6, source.integer + 3, source.signed)
        narrow = FixedPoint(source.width + 1, source.integer + 1, source.signed)
        result = RESULTS[n % len(RESULTS)]
        image, series = (5, 6, 2), (7, 3)
        slides: list[tuple[tuple[int, ...], tuple[int, ...] | None, dict[str, object]]] = [
            (image, (2, 2), {}),
            (image, None, {}),
            (image, (3, 2), {"strides": (2, 1), "padding": "same"}),
            (series, (3,), {"strides": (2,)}),
            (series, None, {}),
            (series, (3,), {"strides": (2,), "padding": "same"}),
        ]
        for place, (shape, kernel, slide) in enumerate(slides):
            acc = exact if place % 2 else narrow
            mean = Layer.average_pool(f"mean{n}_{place}", shape, kernel, acc, result, **slide)  # type: ignore[arg-type]
            found.append((mean, source))
            if source.signed or slide.get("padding") != "same":
                largest = Layer.max_pool(f"max{n}_{place}", shape, kernel, result, **slide)  # type: ignore[arg-type]
                found.append((largest, source))
    return found


def others() -> list[tuple[Layer, FixedPoint]]:
    found = []
    table, inverse_input = F("fixed<18,8,RND,SAT>"), F("fixed<18,8,RND,SAT>")
    for n, text in enumerate(("fixed<9,4>", "fixed<14,6>", "ufixed<8,3>")):
        source = F(text)
        for implementation in ("stable", "latency"):
            norm = FixedPoint(source.width - source.signed, source.integer - source.signed, False)
            index = norm if implementation == "stable" else source
            negative = implementation == "stable"
            tables = (exponential_table(256, index, table, negative=negative), inverse_table(256, inverse_input, table))
            given = (5, implementation, tables, F("fixed<17,8,RND,SAT>"), inverse_input, RESULTS[n])
            layer = Layer.softmax(f"{implementation}{n}", *given, norm=norm if negative else None)
            found.append((layer, source))
        found.append((Layer.argmax(f"argmax{n}", 5, RESULTS[n]), source))
        found.append((Layer.upsample(f"up{n}", (3, 4, 2), (n + 1, 3), source), source))
    return found


def struct(layer: Layer, source: FixedPoint) -> str:
    """hls4ml's configuration of the kernel, as its templates write it."""
    constants: dict[str, object] = {"n_in": layer.n_in, "reuse_factor": 1, "io_type": "nnet::io_parallel"}
    types: dict[str, FixedPoint] = {}
    after = ""
    function = layer.settings.get("function")
    match layer.kind:
        case Kind.ACTIVATION if function in SPANS:
            constants["table_size"] = layer.tables[0].raw.size
            types["table_t"] = layer.tables[0].type
        case Kind.ACTIVATION if function in ("hard_sigmoid", "hard_tanh"):
            for name, table in zip(("slope", "shift"), layer.tables, strict=True):
                after += f"const {table.type.cpp()} {layer.name}_t::{name} = {to_real(table.raw, table.type)[0]!r};\n"
        case Kind.SOFTMAX | Kind.ARGMAX:
            implementation = layer.settings.get("implementation", "argmax")
            constants |= {
                "n_slice": layer.n_in,
                "axis": -1,
                "implementation": f"nnet::softmax_implementation::{implementation}",
            }
            sizes = [table.raw.size for table in layer.tables] or [2, 2]
            constants |= {"exp_table_size": sizes[0], "inv_table_size": sizes[1], "table_size": sizes[1]}
            kinds = [table.type for table in layer.tables] or [TABLE, TABLE]
            norm = layer.settings.get("norm_type") or "fixed<1,0>"
            inverse_input = F(layer.settings.get("inverse_input_type", str(TABLE)))
            types |= {"exp_table_t": kinds[0], "inv_table_t": kinds[1], "table_t": kinds[0], "inp_norm_t": F(norm)}
            types |= {"inv_inp_t": inverse_input, "accum_t": layer.accumulator or TABLE}
        case Kind.UPSAMPLE:
            names = ("height", "width", "n_chan", "new_height", "new_width")
            constants |= dict(zip(names, (*layer.in_shapes[0], *layer.out_shape[:2]), strict=True))
        case Kind.MAX_POOL | Kind.AVERAGE_POOL:
            constants |= pool_constants(layer)
            types["accum_t"] = layer.accumulator or source
    kinds_of = {"implementation": "nnet::conv_implementation" if layer.window else "nnet::softmax_implementation"}
    kinds_of["pool_op"] = "nnet::Pool_Op"
    lines = [f"  static const {kinds_of.get(name, 'unsigned')} {name} = {value};" for name, value in constants.items()]
    lines += [f"  typedef {of.cpp()} {name};" for name, of in types.items()]
    if layer.kind is Kind.ACTIVATION and after:
        lines += [f"  static const {t.type.cpp()} {n};" for n, t in zip(("slope", "shift"), layer.tables, strict=True)]
    lines += ["  static constexpr float exp_scale = 1.0;"]
    return f"struct {layer.name}_t {{\n" + "\n".join(lines) + "\n};\n" + after


def pool_constants(layer: Layer) -> dict[str, object]:
    assert layer.window is not None
    (height, width, channels), (rows, columns) = layer.window.in_shape, layer.window.kernel
    (top, bottom), (left, right) = layer.window.pads
    out = layer.window.out_hw
    operation = "nnet::Max" if layer.kind is Kind.MAX_POOL else "nnet::Average"
    found: dict[str, object] = {"n_filt": channels, "n_chan": channels, "pool_op": operation, "count_pad": "false"}
    found |= {"pool_height": rows, "filt_height": rows, "pool_width": columns, "filt_width": columns}
    found |= {"stride_height": layer.window.strides[0], "stride_width": layer.window.strides[1]}
    found |= {"pad_top": top, "pad_bottom": bottom, "pad_left": left, "pad_right": right}
    found |= {"in_height": height, "in_width": width, "out_height": out[0], "out_width": out[1], "n_out": out[1]}
    if len(layer.in_shapes[0]) == 2:
        found["n_in"] = width
    return found | {"implementation": "nnet::conv_implementation::linebuffer"}


def kernel(layer: Layer) -> str:
    match layer.kind:
        case Kind.ACTIVATION:
            return str(layer.settings["function"])
        case Kind.RELU:
            return "relu"
        case Kind.SOFTMAX | Kind.ARGMAX:
            return "softmax"
        case Kind.UPSAMPLE:
            return "resize_nearest"
    return f"{'global_' if layer.settings['global'] else ''}pooling{len(layer.in_shapes[0]) - 1}d_cl"


def call(layer: Layer, source: FixedPoint, *, stream: bool) -> str:
    """Read the inputs of one sample, run the kernel, write what it gives."""
    packs = [1, 1]
    if layer.kind in (Kind.SOFTMAX, Kind.ARGMAX):
        packs = [layer.n_in, layer.n_out]
    elif layer.kind not in (Kind.ACTIVATION, Kind.RELU):
        packs = [layer.neurons, layer.neurons]
    numbers = ""
    arguments = [f"nnet::array<{of.cpp()}, {p}>" for of, p in zip((source, layer.result), packs, strict=True)]
    if not stream:
        arguments = [source.cpp(), layer.result.cpp()]
    templates = list(arguments) if layer.kind is not Kind.UPSAMPLE else arguments[:1]
    factor = {"leaky_relu": 0, "elu": 1}.get(layer.settings.get("function", ""))
    if factor is not None:
        templates.insert(1, layer.tables[factor].type.cpp())
        numbers = f"{to_real(layer.tables[factor].raw, layer.tables[factor].type)[0]!r}, "
    kernel_call = f"nnet::{kernel(layer)}<{', '.join(templates)}, {layer.name}_t>(x, {numbers}y);"
    if stream:
        declared = f"hls::stream<{arguments[0]}> x; hls::stream<{arguments[1]}> y;"
    else:
        declared = f"static {arguments[0]} x[{layer.n_in}]; static {arguments[1]} y[{layer.n_out}];"
    return f"  {{ {declared} take(x, {layer.n_in}); {kernel_call} give(y, {layer.n_out}); }}"


@pytest.mark.cxx
@pytest.mark.parametrize("cases", [activations, pools, others], ids=lambda build: build.__name__)
def test_layers_equal_the_kernels(cases: Callable[[], list[tuple[Layer, FixedPoint]]], tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    structs, calls, words, expected = [], [], [], []
    for layer, source in cases():
        check_sources(layer, (source,))
        structs.append(struct(layer, source))
        whole = layer.kind in (Kind.ACTIVATION, Kind.RELU)
        for stream in (False, True):
            if stream and refused_in_streams(layer):
                continue
            for _ in range(1 if whole else 4):
                raw: Ints = (
                    wrap(np.arange(layer.n_in), source) if whole else random_raw(source, (layer.n_in,), generator)
                )
                calls.append(call(layer, source, stream=stream))
                words.append(raw)
                ours = to_real(passed(layer, (source,), raw[None])[0], layer.result)
                expected.append((f"{layer.name} {layer.settings} stream={stream} {source}", raw, ours))
    headers = importlib.util.find_spec("hls4ml")
    assert headers is not None and headers.origin is not None
    templates = Path(headers.origin).parent / "templates" / "vivado"
    code, program = tmp_path / "kernels.cpp", tmp_path / "kernels"
    code.write_text(PROGRAM.replace("CONFIGS", "\n".join(structs)).replace("CALLS", "\n".join(calls)))
    command = ["g++", "-std=c++17", "-O0", "-w", "-isystem", str(templates / "ap_types"), "-isystem", str(templates)]
    subprocess.run([*command, str(code), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], input=np.concatenate(words).tobytes(), capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, np.float64)
    at = 0
    for what, raw, ours in expected:
        found = theirs[at : at + len(ours)]
        wrong = np.flatnonzero(found != ours)
        assert not len(wrong), (
            f"{what}: inputs {raw[wrong[:4] % len(raw)]}, ours {ours[wrong[:4]]}, hls4ml {found[wrong[:4]]}"
        )
        at += len(ours)
    assert at == len(theirs)
