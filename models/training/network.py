"""The network: log-mel front end, causal separable convolutions, a GRU; and the same as a streaming graph.

Input: waveform at 16 kHz. Output: one frame every 40 ms. Everything is causal, so that a stream cut into hops gives the
same scores as the whole file; `Streaming` keeps what the next hop needs in one flat state vector.
"""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

FRAME, HOP, MELS = 512, 160, 64
PAST = 480  # samples before a hop that its frames reach into, in whole HOPs
STRIDE = 640  # samples per output frame: 40 ms
DELAY = 6  # output frames between a sound and the frame that scores it


def mel_filters(bands: int = MELS, low: float = 50, high: float = 8000) -> torch.Tensor:
    """Triangular filters [bands, 257], mel = 2595 log10(1 + f/700) (O'Shaughnessy 1987)."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    points = 700 * (10 ** (np.linspace(mel(low), mel(high), bands + 2) / 2595) - 1)
    f = np.linspace(0, 8000, FRAME // 2 + 1)
    rows = [np.minimum((f - a) / (b - a), (c - f) / (c - b)).clip(0) for a, b, c in zip(points, points[1:], points[2:])]
    return torch.tensor(np.array(rows), dtype=torch.float32)


class CausalConv(nn.Module):
    """A convolution over [batch, channels, mel, time] that sees `kernel_t - stride_t` frames of the past and none of the future."""

    def __init__(self, i: int, o: int, kernel=(3, 3), stride=(1, 1), groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, (kernel[0] // 2, 0), groups=groups, bias=False)
        self.past = kernel[1] - stride[1]

    def forward(self, x: torch.Tensor, cache: "Cache | None" = None) -> torch.Tensor:
        x = F.pad(x, (self.past, 0)) if cache is None else cache.extend(x, self.past)
        return self.conv(x)


class Cache:
    """Hands out the pieces of the state vector in call order and gathers the next one.

    Without `sizes` the pieces are zeros, and `sizes` of the next state can be read off afterwards.
    """

    def __init__(self, state: torch.Tensor, sizes: list[int] | None):
        self.pieces = iter(torch.split(state, sizes, 1)) if sizes else None
        self.next: list[torch.Tensor] = []

    def take(self, shape) -> torch.Tensor:
        return torch.zeros(shape) if self.pieces is None else next(self.pieces).reshape(shape)

    def extend(self, x: torch.Tensor, past: int) -> torch.Tensor:
        shape = (1, x.shape[1], x.shape[2], past) if x.dim() == 4 else (1, past)
        x = torch.cat([self.take(shape), x], -1)
        self.keep(x[..., x.shape[-1] - past :])
        return x

    def keep(self, x: torch.Tensor) -> None:
        self.next.append(x.reshape(1, -1))


class Block(nn.Module):
    """Two depthwise-separable convolutions; the first strides."""

    def __init__(self, i: int, o: int, stride):
        super().__init__()
        self.a, self.b = CausalConv(i, i, (3, 3), stride, i), CausalConv(o, o, (3, 3), (1, 1), o)
        norm = nn.BatchNorm2d
        self.a2 = nn.Sequential(norm(i), nn.ReLU(), nn.Conv2d(i, o, 1, bias=False), norm(o), nn.ReLU())
        self.b2 = nn.Sequential(norm(o), nn.ReLU(), nn.Conv2d(o, o, 1, bias=False), norm(o))

    def forward(self, x, cache=None):
        x = self.a2(self.a(x, cache))
        return torch.relu(x + self.b2(self.b(x, cache)))


class Network(nn.Module):
    """`classes` outputs are exported; `auxiliary` outputs only teach (what else is heard)."""

    def __init__(self, classes: int = 3, auxiliary: int = 0, channels=(24, 48, 72, 96, 128), hidden: int = 128):
        super().__init__()
        self.register_buffer("mel", mel_filters())
        self.register_buffer("window", torch.hann_window(FRAME, periodic=True))
        self.norm = nn.BatchNorm2d(1)
        self.first = CausalConv(1, channels[0], (3, 5), (2, 2))
        self.first2 = nn.Sequential(nn.BatchNorm2d(channels[0]), nn.ReLU())
        strides = [(2, 2), (2, 1), (2, 1), (2, 1)]
        self.blocks = nn.ModuleList(Block(i, o, s) for i, o, s in zip(channels, channels[1:], strides))
        self.gru = nn.GRU(channels[-1] * 2, hidden, batch_first=True)
        self.drop = nn.Dropout(0.15)
        self.out = nn.Linear(hidden + channels[-1] * 2, classes)
        self.aux = nn.Linear(hidden + channels[-1] * 2, auxiliary) if auxiliary else None

    def log_mel(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, 64, samples / 160]; the past before the first sample is silence."""
        spectrum = torch.stft(F.pad(x, (FRAME - HOP, 0)), FRAME, HOP, FRAME, self.window, center=False, return_complex=True)
        return torch.log(self.mel @ (spectrum.real**2 + spectrum.imag**2) + 1e-8)

    def convolve(self, features: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """[batch, 64, frames of 10 ms] -> [batch, frames of 40 ms, features]."""
        x = self.first2(self.first(self.norm(features[:, None]), cache))
        for block in self.blocks:
            x = block(x, cache)
        b, c, f, t = x.shape
        return x.permute(0, 3, 1, 2).reshape(b, t, c * f)

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None):
        """[batch, samples], memory [1, batch, hidden] (zeros unless given) -> logits [batch, frames, classes], auxiliary logits, memory."""
        x = self.convolve(self.log_mel(x))
        h, memory = self.gru(x, memory)
        h = self.drop(torch.cat([h, x], -1))
        return self.out(h), self.aux(h) if self.aux is not None else None, memory


class Streaming(nn.Module):
    """(waveform [1, hop], state [1, S]) -> (scores [1, frames, classes], state_out [1, S]); a zero state is the start.

    torch.stft does not export, so the spectrum is a product with cosines and sines. The frame is first folded into its
    even and odd parts about its middle, which halves the product: for x[n] and x[512-n] the cosines are equal, the
    sines opposite. Frames are four neighbouring blocks of one hop, less what is too much, so that cutting them takes a
    handful of operations and not one for each frame.

    The recurrent layer keeps two memories. Each forgets every `2 * turn` runs of the graph, half of that apart, and the
    older one answers: what is scored has `turn` to `2 * turn` runs behind it however long the stream is.
    """

    def __init__(self, network: Network, turn: int):
        super().__init__()
        self.network = network
        self.turn = turn
        half = FRAME // 2
        n = torch.arange(half + 1, dtype=torch.float64)
        k = torch.arange(half + 1, dtype=torch.float64)[:, None]
        cosine, sine = torch.cos(2 * np.pi * k * n / FRAME), torch.sin(2 * np.pi * k * n / FRAME)
        cosine[:, 0] /= 2
        cosine[:, half] /= 2
        self.register_buffer("cosine", cosine.float().T.contiguous())
        self.register_buffer("sine", sine.float().T.contiguous())
        self.register_buffer("floor", torch.tensor(1e-8))
        self.sizes: list[int] | None = None
        with torch.no_grad():
            self(torch.zeros(1, STRIDE), torch.zeros(1, 0))
        self.state_size = sum(self.sizes)

    def log_mel(self, x: torch.Tensor) -> torch.Tensor:
        blocks = x.reshape(-1, HOP)
        count = blocks.shape[0] - PAST // HOP
        frames = torch.cat([blocks[i : i + count] for i in range(PAST // HOP + 1)], 1)[:, PAST + HOP - FRAME :] * self.network.window
        left = frames[:, : FRAME // 2 + 1]
        right = torch.cat([frames[:, :1], torch.flip(frames[:, FRAME // 2 :], [1])], 1)
        even, odd = left + right, left - right
        power = (even @ self.cosine) ** 2 + (odd @ self.sine) ** 2
        return torch.log(power @ self.network.mel.T + self.floor).T[None]

    def take_turns(self, x: torch.Tensor, cache: Cache) -> torch.Tensor:
        run = cache.take((1, 1))
        remembers = torch.cat([run != 0, run != self.turn], 1).float()[..., None]
        h, memories = self.network.gru(x.expand(2, -1, -1), cache.take((1, 2, self.network.gru.hidden_size)) * remembers)
        cache.keep((run + 1) * (run < 2 * self.turn - 1).float())
        cache.keep(memories)
        return torch.where(run < self.turn, h[1:], h[:1])

    def forward(self, waveform: torch.Tensor, state: torch.Tensor):
        cache = Cache(state, self.sizes)
        x = self.network.convolve(self.log_mel(cache.extend(waveform, PAST)), cache)
        h = torch.cat([self.take_turns(x, cache), x], -1)
        if self.sizes is None:
            self.sizes = [piece.shape[1] for piece in cache.next]
        return torch.sigmoid(self.network.out(h)), torch.cat(cache.next, 1)


class Windowed(nn.Module):
    """waveform [1, window] -> scores [1, frames of the last hop, classes]: the same network that forgets before each window."""

    def __init__(self, network: Network, hop: int):
        super().__init__()
        self.streaming = Streaming(network, turn=1)
        self.frames = hop // STRIDE

    def forward(self, waveform: torch.Tensor):
        scores, _ = self.streaming(waveform, torch.zeros(1, self.streaming.state_size))
        return scores[:, -self.frames :]
