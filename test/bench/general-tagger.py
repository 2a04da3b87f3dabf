"""Makes a model folder with the shape of a common general tagger, to compare what it costs: general-tagger.py OUT_DIR.

MobileNet v1 over 96 log-mel frames of 64 bands, 521 classes, a window of 0.975 s every 0.48 s: the layers that YAMNet
publishes. The weights are random, so its cost is true and its scores mean nothing. Debian: python3-torch.
"""
import hashlib
import json
import os
import sys

import numpy as np
import torch
from torch import nn

WINDOW, HOP, FRAME, STEP, BANDS = 15600, 7680, 512, 160, 64
LAYERS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]  # channels, stride


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        angle = 2 * np.pi * np.outer(np.arange(FRAME // 2 + 1), np.arange(400)) / FRAME
        window = np.hanning(400)
        self.register_buffer("basis", torch.tensor(np.concatenate([np.cos(angle), np.sin(angle)]) * window, dtype=torch.float32)[:, None])
        self.register_buffer("mel", torch.rand(BANDS, FRAME // 2 + 1) * 0.01)
        block = lambda i, o, k, s, g: nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        channels = [32] + [o for o, _ in LAYERS]
        separable = [nn.Sequential(block(i, i, 3, s, i), block(i, o, 1, 1, 1)) for i, (o, s) in zip(channels, LAYERS)]
        self.body = nn.Sequential(block(1, 32, 3, 2, 1), *separable)
        self.out = nn.Linear(1024, 521)

    def forward(self, waveform):
        """waveform [15600] -> scores [1, 521]"""
        spectrum = nn.functional.conv1d(waveform[None, None], self.basis, stride=STEP)
        power = spectrum[:, : FRAME // 2 + 1] ** 2 + spectrum[:, FRAME // 2 + 1 :] ** 2
        patch = torch.log(self.mel @ power + 1e-3).transpose(1, 2)[:, None]
        return torch.sigmoid(self.out(self.body(patch).mean((2, 3))))


out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(0)
tagger = Tagger().eval()
path = os.path.join(out, "model.onnx")
torch.onnx.export(tagger, torch.zeros(WINDOW), path, input_names=["waveform"], output_names=["scores"], opset_version=15)
rule = {"open": 0.999, "close": 0.9, "minDurationSeconds": 0, "smoothingSeconds": 0, "mergeSeconds": 1, "cooldownSeconds": 0}
point = {"falseAlarmsPerHour": 0, "labels": {label: rule for label in ("glass_break", "shout", "bang")}}
with open(path, "rb") as f:
    digest = hashlib.sha256(f.read()).hexdigest()
manifest = {
    "format": 1, "name": "random-general-tagger", "version": "0.0.0", "file": "model.onnx", "sha256": digest, "licence": "Apache-2.0",
    "sampleRate": 16000, "windowSamples": WINDOW, "hopSamples": HOP, "waveformInput": "waveform", "waveformShape": [WINDOW],
    "scoresOutput": "scores", "framesPerHop": 1, "frameSeconds": HOP / 16000, "classes": [f"class {i}" for i in range(521)],
    "labels": {label: {"classes": [f"class {i}"]} for i, label in enumerate(("glass_break", "shout", "bang"))},
    "operatingPoints": {"balanced": point, "strict": point}, "thresholdsChosenOn": "nothing: the weights are random",
    "parameters": sum(p.numel() for p in tagger.parameters()),
}
with open(os.path.join(out, "manifest.json"), "w") as f:
    json.dump(manifest, f, indent=2)
print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB, {manifest['parameters']:,} parameters")
