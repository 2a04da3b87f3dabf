"""The network, and the same network as a streaming graph.

It has a log-mel front end with the difference of each band from the last second, causal separable convolutions and a
GRU. Input: waveform at 16 kHz. Output: one frame every 40 ms. Everything is causal, so a stream cut into hops gives the
same scores as the whole file. `Streaming` keeps what the next hop needs in one flat state vector.
"""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

FRAME, HOP, MELS = 512, 160, 64
PAST = 480  # samples before a hop that its frames also cover, rounded up to whole HOPs
STRIDE = 640  # samples per output frame: 40 ms
DELAY = 6  # output frames from a sound to the frame that scores it
FADE = np.exp(-HOP / 16000)  # share of the background mean that is left after 10 ms: a time constant of 1 s


def mel_filters(bands: int = MELS, low: float = 50, high: float = 8000) -> torch.Tensor:
    """Triangular filters [bands, 257], mel = 2595 log10(1 + f/700) (O'Shaughnessy 1987)."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    points = 700 * (10 ** (np.linspace(mel(low), mel(high), bands + 2) / 2595) - 1)
    f = np.linspace(0, 8000, FRAME // 2 + 1)
    rows = [np.minimum((f - a) / (b - a), (c - f) / (c - b)).clip(0) for a, b, c in zip(points, points[1:], points[2:])]
    return torch.tensor(np.array(rows), dtype=torch.float32)


class CausalConv(nn.Module):
    """A convolution over [batch, channels, time, mel] that sees `kernel_t - stride_t` frames of the past and none of the future.

    Time comes before mel, so that the past frames that the next hop needs are contiguous.
    """

    def __init__(self, i: int, o: int, kernel=(3, 3), stride=(1, 1), groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, (0, kernel[1] // 2), groups=groups, bias=False)
        self.past = kernel[0] - stride[0]

    def forward(self, x: torch.Tensor, cache: "Cache | None" = None) -> torch.Tensor:
        x = F.pad(x, (0, 0, self.past, 0)) if cache is None else cache.extend(x, self.past, 2)
        return self.conv(x)


class Cache:
    """Hands out the pieces of the state vector in call order and collects the pieces of the next one.

    Without `sizes` the pieces are zeros, and the sizes can be read from the next state afterwards.
    """

    def __init__(self, state: torch.Tensor, sizes: list[int] | None):
        self.pieces = iter(torch.split(state, sizes, 1)) if sizes else None
        self.next: list[torch.Tensor] = []

    def take(self, shape) -> torch.Tensor:
        return torch.zeros(shape) if self.pieces is None else next(self.pieces).reshape(shape)

    def extend(self, x: torch.Tensor, past: int, along: int) -> torch.Tensor:
        shape = list(x.shape)
        shape[along] = past
        x = torch.cat([self.take(shape), x], along)
        self.keep(x.narrow(along, x.shape[along] - past, past))
        return x

    def keep(self, x: torch.Tensor) -> None:
        self.next.append(x.reshape(1, -1))


class Block(nn.Module):
    """Two depthwise-separable convolutions. The first one has the stride."""

    def __init__(self, i: int, o: int, stride):
        super().__init__()
        self.a, self.b = CausalConv(i, i, (3, 3), stride, i), CausalConv(o, o, (3, 3), (1, 1), o)
        norm = nn.BatchNorm2d
        self.a2 = nn.Sequential(norm(i), nn.ReLU(), nn.Conv2d(i, o, 1, bias=False), norm(o), nn.ReLU())
        self.b2 = nn.Sequential(norm(o), nn.ReLU(), nn.Conv2d(o, o, 1, bias=False), norm(o))

    def forward(self, x, cache=None):
        x = self.a2(self.a(x, cache))
        return torch.relu(x + self.b2(self.b(x, cache)))


def background(features: torch.Tensor, cache: "Cache | None" = None) -> torch.Tensor:
    """[batch, frames, bands] -> the same shape: the mean of each band up to and including each frame. Older frames
    count less (FADE).

    At the start the mean is over fewer frames. It is not padded with zeros.
    """
    count = features.shape[1]
    age = np.arange(count)[:, None] - np.arange(count)
    shares = torch.tensor(np.where(age >= 0, FADE ** np.maximum(age, 0), 0), dtype=torch.float32, device=features.device)
    total, weight = shares @ features, shares.sum(1)[:, None]
    if cache is not None:
        older = torch.tensor(FADE ** np.arange(1, count + 1), dtype=torch.float32)[:, None]
        total = total + cache.take((1, 1, features.shape[2])) * older
        weight = weight + cache.take((1, 1)) * older
        cache.keep(total[:, -1:])
        cache.keep(weight[-1:])
    return total / weight


def hide_bands(features: torch.Tensor) -> torch.Tensor:
    """[batch, frames, bands]: in half of the examples, sets up to eight neighbouring bands to the mean of all bands.

    This keeps the network from relying on any single band.
    """
    shape, device = (len(features), 1, 1), features.device
    low = torch.randint(MELS, shape, device=device)
    high = low + torch.randint(1, 9, shape, device=device) * (torch.rand(shape, device=device) < 0.5)
    band = torch.arange(MELS, device=device)
    return torch.where((band >= low) & (band < high), features.mean((1, 2), keepdim=True), features)


class Network(nn.Module):
    """The `classes` outputs are exported. The `auxiliary` outputs serve only in training (what else is heard).

    `both_ways` is for a teacher, which may hear what comes after a sound. Its recurrent layer also runs from the end to
    the beginning, and it keeps no memory between calls.
    """

    def __init__(self, classes: int = 3, auxiliary: int = 0, hidden: int = 128, both_ways: bool = False):
        super().__init__()
        channels = (48, 96, 144, 192, 256)
        self.hidden, self.both_ways = hidden, both_ways
        heard = hidden * (1 + both_ways) + channels[-1] * 2
        self.register_buffer("mel", mel_filters())
        self.register_buffer("window", torch.hann_window(FRAME, periodic=True))
        self.norm = nn.BatchNorm2d(2)
        self.first = CausalConv(2, channels[0], (5, 3), (2, 2))
        self.first2 = nn.Sequential(nn.BatchNorm2d(channels[0]), nn.ReLU())
        strides = [(2, 2), (1, 2), (1, 2), (1, 2)]
        self.blocks = nn.ModuleList(Block(i, o, s) for i, o, s in zip(channels, channels[1:], strides))
        self.gru = nn.GRU(channels[-1] * 2, hidden, batch_first=True, bidirectional=both_ways)
        self.drop = nn.Dropout(0.15)
        self.out = nn.Linear(heard, classes)
        self.aux = nn.Linear(heard, auxiliary) if auxiliary else None

    def log_mel(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, samples / 160, 64]. The sound before the first sample is taken as silence."""
        spectrum = torch.stft(F.pad(x, (FRAME - HOP, 0)), FRAME, HOP, FRAME, self.window, center=False, return_complex=True)
        return torch.log(self.mel @ (spectrum.real**2 + spectrum.imag**2) + 1e-8).transpose(1, 2)

    def convolve(self, features: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """[batch, frames of 10 ms, 64] -> [batch, frames of 40 ms, features]."""
        x = torch.stack([features, features - background(features, cache)], 1)
        x = self.first2(self.first(self.norm(x), cache))
        for block in self.blocks:
            x = block(x, cache)
        b, c, t, f = x.shape
        return x.transpose(1, 2).reshape(b, t, c * f)

    def remember(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [batch, frames, features], memory [1, batch, hidden] -> output of the recurrent layer, memory.

        With `both_ways` there is no memory to carry on, so zeros are returned.
        """
        if self.both_ways:
            return self.gru(x)[0], torch.zeros(1, len(x), self.hidden, device=x.device)
        return self.gru(x, memory)

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None):
        """[batch, samples], memory [1, batch, hidden] (zeros unless given) -> logits [batch, frames, classes],
        auxiliary logits, memory.
        """
        x = self.log_mel(x)
        x = self.convolve(hide_bands(x) if self.training else x)
        h, memory = self.remember(x, memory)
        h = self.drop(torch.cat([h, x], -1))
        return self.out(h), self.aux(h) if self.aux is not None else None, memory


class Streaming(nn.Module):
    """(waveform [1, hop], state [1, S]) -> (scores [1, frames, classes], state_out [1, S]). A zero state is the start.

    torch.stft cannot be exported, so the spectrum is a product with cosines and sines, which include the window. The
    frame is first folded into its even and odd parts about its middle, which halves the product: for x[n] and x[512-n]
    the cosines are equal and the sines opposite. The window is equal for both too, and zero at x[0]. The last bin is
    left out because no band uses it: 256 by 256 numbers are quicker than 257 by 257. A frame is made of four
    neighbouring blocks of one hop, without the surplus samples. Cutting the frames then takes a handful of operations
    and not one for each frame.

    The recurrent layer keeps two memories. Each is reset every `2 * turn` runs of the graph, `turn` runs after the
    other, and the older one answers. So what is scored has `turn` to `2 * turn` runs behind it, however long the stream
    is. Tables indexed by the number of the run say which memory is reset and which answers, because each small
    operation costs a microsecond.
    """

    def __init__(self, network: Network, turn: int):
        super().__init__()
        self.network = network
        self.turn = turn
        half = FRAME // 2
        n = torch.arange(1, half + 1, dtype=torch.float64)[:, None]
        angle = 2 * np.pi * n * torch.arange(half, dtype=torch.float64) / FRAME
        weight = network.window[1 : half + 1, None] * (1 - (n == half) / 2)
        self.register_buffer("cosine", (weight * torch.cos(angle)).float())
        self.register_buffer("sine", (weight * torch.sin(angle)).float())
        self.register_buffer("bands", network.mel[:, :half].T.contiguous())
        runs = torch.arange(2 * turn)
        self.register_buffer("following", ((runs + 1) % (2 * turn)).float())
        self.register_buffer("remembers", torch.stack([runs != 0, runs != turn], 1).float()[..., None])
        self.register_buffer("answers", torch.stack([runs >= turn, runs < turn], 1).float()[..., None])
        self.register_buffer("floor", torch.tensor(1e-8))
        self.sizes: list[int] | None = None
        with torch.no_grad():
            self(torch.zeros(1, STRIDE), torch.zeros(1, 0))
        self.state_size = sum(self.sizes)

    def log_mel(self, x: torch.Tensor) -> torch.Tensor:
        blocks = x.reshape(-1, HOP)
        count = blocks.shape[0] - PAST // HOP
        frames = torch.cat([blocks[i : i + count] for i in range(PAST // HOP + 1)], 1)
        left, right = frames[:, 1 - FRAME : 1 - FRAME // 2], torch.flip(frames[:, -FRAME // 2 :], [1])
        power = ((left + right) @ self.cosine) ** 2 + ((left - right) @ self.sine) ** 2
        return torch.log(power @ self.bands + self.floor)[None]

    def take_turns(self, x: torch.Tensor, cache: Cache) -> torch.Tensor:
        run = cache.take((1,)).long()
        h, memories = self.network.remember(x.expand(2, -1, -1), cache.take((1, 2, self.network.hidden)) * self.remembers[run])
        cache.keep(self.following[run])
        cache.keep(memories)
        return (h * self.answers[run].transpose(0, 1)).sum(0, keepdim=True)

    def forward(self, waveform: torch.Tensor, state: torch.Tensor):
        cache = Cache(state, self.sizes)
        x = self.network.convolve(self.log_mel(cache.extend(waveform, PAST, 1)), cache)
        h = torch.cat([self.take_turns(x, cache), x], -1)
        if self.sizes is None:
            self.sizes = [piece.shape[1] for piece in cache.next]
        return torch.sigmoid(self.network.out(h)), torch.cat(cache.next, 1)


class Windowed(nn.Module):
    """waveform [1, window] -> scores [1, frames of the last hop, classes]: the network, reset before each window."""

    def __init__(self, network: Network, hop: int):
        super().__init__()
        self.streaming = Streaming(network, turn=1)
        self.frames = hop // STRIDE

    def forward(self, waveform: torch.Tensor):
        scores, _ = self.streaming(waveform, torch.zeros(1, self.streaming.state_size))
        return scores[:, -self.frames :]
