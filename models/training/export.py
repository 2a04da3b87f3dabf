"""Exports trained weights, or the mean of several, to the streaming ONNX graph and its manifest:
export.py WEIGHTS... OUT_DIR [--version V].

First checks that a stream cut into hops gives the scores of the whole file. For comparison, --window SECONDS exports a
graph that starts afresh for each window and runs every half window.
"""
import argparse
import hashlib
import json
import os

import torch
from torch import nn

from corpus import LABELS, SAMPLE_RATE
from network import DELAY, FRAME, HOP as FRAME_HOP, STRIDE, Network, Streaming, Windowed
from train import mean_of

HOP = 2560  # 160 ms: four output frames a run
TURN = 12  # runs of the graph: 1.92 s

RULES = {
    "glass_break": {"minDurationSeconds": 0.04, "smoothingSeconds": 0.08, "mergeSeconds": 1.0, "cooldownSeconds": 0.3},
    "shout": {"minDurationSeconds": 0.12, "smoothingSeconds": 0.16, "mergeSeconds": 1.0, "cooldownSeconds": 0.3},
    "bang": {"minDurationSeconds": 0.04, "smoothingSeconds": 0.08, "mergeSeconds": 1.0, "cooldownSeconds": 0.3},
}
ONTOLOGY = {"glass_break": ["/m/07rn7sz"], "shout": ["/m/07p6fty", "/m/03qc9zr"], "bang": ["/m/032s66", "/m/014zdl", "/m/0g6b5"]}


def check_stream(network: Network, streaming: Streaming) -> float:
    """Largest difference between streamed scores and those of the whole file, on noise that stops and starts again.

    For the whole file, the recurrent layer runs over each stretch between two turns twice: from a zero memory, which
    gives the memory for the next stretch, and from the memory of the stretch before, which gives the scores.
    """
    torch.manual_seed(0)
    runs = 5 * streaming.turn // 2
    x = torch.randn(1, runs * HOP) * 0.05
    x[:, 5 * HOP : 8 * HOP] = 0
    turn = streaming.turn * HOP // STRIDE
    with torch.no_grad():
        features = network.convolve(network.log_mel(x))
        heard, memory = [], None
        for piece in features.split(turn, 1):
            heard.append(network.remember(piece, memory)[0])
            memory = network.remember(piece)[1]
        whole = torch.sigmoid(network.out(torch.cat([torch.cat(heard, 1), features], -1)))
        state, parts = torch.zeros(1, streaming.state_size), []
        for i in range(0, x.shape[1], HOP):
            scores, state = streaming(x[:, i : i + HOP], state)
            parts.append(scores)
    return float((torch.cat(parts, 1) - whole).abs().max())


def multiply_accumulates(network: Network) -> int:
    """Multiply-accumulates for one second of sound, rounded to millions.

    Counts the Fourier transform (folded once), the mel bands, each convolution and linear layer, and the recurrent
    layer twice, for its two memories.
    """
    counts = []
    sizes = {nn.Conv2d: lambda m, out: out.numel() * m.weight[0].numel(), nn.Linear: lambda m, out: out.numel() * m.in_features}
    hooks = [m.register_forward_hook(lambda m, _, out: counts.append(sizes[type(m)](m, out))) for m in network.modules() if type(m) in sizes]
    with torch.no_grad():
        network(torch.zeros(1, SAMPLE_RATE))
    for hook in hooks:
        hook.remove()
    frames, bins = SAMPLE_RATE // FRAME_HOP, FRAME // 2 + 1
    recurrent = sum(w.numel() for name, w in network.gru.named_parameters() if "weight" in name) * SAMPLE_RATE // STRIDE
    return round(sum(counts) + 2 * recurrent + frames * bins * (2 * bins + network.mel.shape[0]), -6)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", nargs="+")
    parser.add_argument("out")
    parser.add_argument("--version", default="0.11.1")
    parser.add_argument("--window", type=float)
    parser.add_argument("--turn", type=int, default=TURN, help="runs of the graph after which the other memory answers")
    args = parser.parse_args()
    network = mean_of(args.weights).eval()
    streaming = Streaming(network, args.turn).eval()
    size = streaming.state_size
    difference = check_stream(network, streaming)
    print(f"stream and whole file differ by at most {difference:.1e}; state of {size} floats")
    assert difference < 1e-4, "the streaming graph does not compute what was trained"
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "model.onnx")
    window, hop, states = HOP, HOP, [{"input": "state", "output": "state_out", "shape": [1, size]}]
    if args.window:
        hop = round(args.window * SAMPLE_RATE / 2 / STRIDE) * STRIDE
        window, states = 2 * hop, []
        torch.onnx.export(Windowed(network, hop).eval(), torch.randn(1, window), path, input_names=["waveform"], output_names=["scores"], opset_version=15)
    else:
        torch.onnx.export(
            streaming, (torch.randn(1, HOP), torch.zeros(1, size)), path,
            input_names=["waveform", "state"], output_names=["scores", "state_out"], opset_version=15,
        )
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    rules = {label: {"open": 0.5, "close": 0.25, **RULES[label]} for label in LABELS}
    manifest = {
        "format": 1, "name": "street", "version": args.version, "file": "model.onnx", "sha256": digest, "licence": "Apache-2.0",
        "sampleRate": SAMPLE_RATE, "windowSamples": window, "hopSamples": hop, "waveformInput": "waveform", "scoresOutput": "scores",
        "states": states,
        "framesPerHop": hop // STRIDE, "frameSeconds": STRIDE / SAMPLE_RATE, "latencySeconds": DELAY * STRIDE / SAMPLE_RATE,
        "classes": LABELS, "labels": {label: {"classes": [label], "audioSet": ONTOLOGY[label]} for label in LABELS},
        "operatingPoints": {
            "balanced": {"falseAlarmsPerHour": 20, "labels": rules},
            "strict": {"falseAlarmsPerHour": 3, "labels": rules},
        },
        "thresholdsChosenOn": "not yet chosen",
        "trainingData": [{"source": "public recordings, see MODEL_CARD.md"}],
        "parameters": sum(p.numel() for p in network.parameters()),
        "multiplyAccumulatesPerSecond": multiply_accumulates(network) * window // hop,
    }
    with open(os.path.join(args.out, "manifest.json"), "w") as f:
        json.dump(manifest, f, indent=2)
        f.write("\n")
    print(f"{path}: {os.path.getsize(path) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
