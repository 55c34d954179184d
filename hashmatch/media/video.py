"""Video by PyAV: the frames a sampling asks for, at the times they are shown.

    with VideoReader(file, "mov", Sampling.REFERENCE, limits) as reader:
        for frame in reader:
            print(frame.t, frame.luma.shape)

The reference sampling leaves out the frames that no other frame is predicted from
(`skip_frame=NONREF`), so what is decoded is exactly what decoding everything would give. Leaving
out all B frames (`BIDIR`) is quicker and wrong: H.264 predicts P frames from B frames too, x264
makes such streams unless told otherwise, and the decoder fills in without a word (two clips: up to
28 and 80 of 256 bits). Leaving out the loop filter is wrong for the same reason.

Where the frames of a sampling are too far apart, the rest of the clip is taken by the next denser
one: reference frames where there are too few keyframes, every frame where there are too few of both.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain
from types import TracebackType
from typing import BinaryIO, Literal, NamedTuple, Self

import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import PictureType, VideoFrame
from PIL import Image

from hashmatch.media import complaints, pixels
from hashmatch.media.container import (
    Opened,
    Packets,
    end_of,
    file_duration,
    is_cut_off,
    open_container,
    stream_duration,
    video_stream,
)
from hashmatch.media.frame import Frame
from hashmatch.media.indexed import IndexedPackets
from hashmatch.media.limits import LONGEST, Limits
from hashmatch.media.ranged import RangedFile
from hashmatch.media.stamps import Stamps
from hashmatch.media.timeline import Timeline
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling

_Skip = Literal["DEFAULT", "NONREF", "NONKEY"]
_SKIP: dict[Sampling, _Skip] = {
    Sampling.KEYFRAMES: "NONKEY",
    Sampling.REFERENCE: "NONREF",
    Sampling.EVERY: "DEFAULT",
}

# What is taken where a sampling leaves too much out.
_DENSER = {
    Sampling.KEYFRAMES: Sampling.REFERENCE,
    Sampling.REFERENCE: Sampling.EVERY,
}

# Frames that a decoder may have out of order, by H.264 and HEVC.
_REORDERED = 16

# Times in a transport stream are exact to this.
_TICK = 1 / 90_000
# Frames that a claimed duration may have too many by rounding.
_ROUNDED = 1.5
# Shortfall of the last packet behind the claimed duration, as a share of it, that is no damage.
_SHORTFALL = 0.02


class _Held(NamedTuple):
    """A frame that waits until no packet that belongs before it can come. whole: not patched up."""

    frame: Frame
    whole: bool


class VideoReader:
    """One video stream of one file. `reader.Reader` says what its attributes mean.

    Raises Unseeable at once if not a single frame can be decoded.
    """

    def __init__(
        self,
        file: BinaryIO,
        demuxer: str,
        sampling: Sampling,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        *,
        number: int | None = None,
        opened: Opened | None = None,
    ) -> None:
        """number: of the stream, as `container.number_of` counts; None for the first that there is;
        opened: of the same file and not yet read, which is this reader's from now on.
        """
        # AVI has no presentation times; they are told by counting frames, so none may be left out.
        if demuxer == "avi":
            sampling = Sampling.EVERY
        self._file = file
        self._demuxer = demuxer
        self._limits = limits
        self._clock = clock
        self._deadline = clock() + limits.max_seconds
        self._line = Timeline(limits.max_gap_seconds)
        self._turns = pixels.Turns()
        self._elsewhere = 0.0
        self._before = complaints.heard() if opened is None else opened.heard
        self._number = number
        self._damaged = is_cut_off(file, demuxer)
        self._not_implemented = False
        self._intact = False
        self._complained = 0
        self._patched = -math.inf  # time of the last packet that the decoder complained of
        self._jumped = False
        self._delay = 0.0
        self._passed_over = 0
        self.sampling: Sampling | None = sampling
        self.trouble: Reason | None = None
        self._open(sampling, None if opened is None else opened.container)
        self.codec = self._stream.codec.canonical_name
        self._decoder = self._stream.codec.name
        self.container = self._container.format.name
        self.width, self.height = self._stream.width, self._stream.height
        own, whole = stream_duration(self._container, self._stream), file_duration(self._container)
        # Of a transport stream FFmpeg fills in what it does not find out with what the file has.
        filled_in = demuxer == "mpegts" and own is not None and abs(own - (whole or 0.0)) < _TICK
        self._borrowed = own is None or filled_in
        self.duration = whole if self._borrowed else own
        if self.duration is not None and self.duration > LONGEST:
            self._damaged, self.duration = True, None
        self._frames = self._read(sampling)
        try:
            self._first = next(self._frames, None)
            if self._first is None:
                raise Unseeable(self._why_nothing(), f"no frame of {self.codec}")
        except BaseException:
            self._container.close()
            raise

    @property
    def seen(self) -> float:
        return self._line.seen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._frames.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def _open(self, sampling: Sampling, container: InputContainer | None = None) -> None:
        if container is None:
            container = open_container(self._file, self._demuxer, self._limits)
        self._container = container
        try:
            self._stream = video_stream(container, self._demuxer, self._number, self._limits)
            context = self._stream.codec_context
            # Several workers share the machine: a decoder's own threads would fight them.
            context.thread_count = 1
            context.skip_frame = _SKIP[sampling]
            # A patched-up frame may still match. It does not count as seen.
            context.flags |= Flags.output_corrupt
            context.options = {"max_pixels": str(self._limits.max_pixels)}
            context.open()
        except av.error.FFmpegError as error:
            self._container.close()
            raise Unseeable(Reason.UNSUPPORTED_CODEC, str(error.strerror)) from None
        except Unseeable:
            self._container.close()
            raise

    def _read(self, sampling: Sampling) -> Generator[Frame, None, None]:
        """Every frame once, in order; by a denser sampling from where they are too far apart."""
        resume = yield from self._pass(sampling, after=-math.inf)
        whole = True  # all of the clip so far was taken as densely as the rest
        while resume is not None:
            if isinstance(self._file, RangedFile):
                self.trouble = Reason.TRUNCATED
                break
            sampling = _DENSER[sampling]
            self._container.close()
            self._open(sampling)
            self._line.rewind()
            given, self._passed_over = self._line.frames, 0
            resume = yield from self._pass(sampling, after=resume)
            whole = whole and self._passed_over == given
            if whole:
                self.sampling = sampling
        self._conclude(sampling)

    def _pass(self, sampling: Sampling, after: float) -> Generator[Frame, None, float | None]:
        """Frames later than `after`. Returns the last one's time where the sampling fails."""
        stamps = Stamps(self._stream, self._demuxer)
        self._intact = False  # without a keyframe before it, a frame is predicted from nothing
        self._patched = -math.inf
        self._complained = complaints.count(self._decoder)
        packets = self._packets()
        held: deque[_Held] = deque()
        last = after
        drain: list[None] = [None]
        for packet in chain(packets, drain):
            if packet is not None and packet.stream_index != self._stream.index:
                self._elsewhere = max(self._elsewhere, end_of(packet))
                continue
            if self._clock() > self._deadline:
                self.trouble = Reason.TIME_LIMIT
                break
            for one in self._decode(packet, stamps, sampling):
                if one.frame.t > after:
                    held.append(one)
                else:
                    self._passed_over += 1
            until = math.inf if packet is None else stamps.decoded(packet)
            while held and (held[0].frame.t <= until or len(held) > _REORDERED):
                if not self._note_gap(held[0].frame.t, sampling):
                    return last
                frame, whole = held.popleft()
                self._line.frame(frame.t)
                if not whole:
                    self._line.loss(frame.t)
                self.height, self.width = frame.luma.shape
                last = frame.t
                yield frame
        self._damaged |= packets.damaged or stamps.absurd
        self._jumped |= stamps.jumped
        self._delay = stamps.delay
        if self.trouble is None and not self._note_gap(math.inf, sampling):
            return last
        return None

    def _packets(self) -> Packets | IndexedPackets:
        if isinstance(self._file, RangedFile):
            return IndexedPackets(self._container, self._stream, self._file.size)
        return Packets(self._container, self._read_streams())

    def _read_streams(self) -> tuple[Stream, ...]:
        """The other streams are read only to learn whether the file's duration is theirs."""
        streams = tuple(self._container.streams)
        if self._borrowed and len(streams) > 1:
            return streams
        for stream in streams:
            if stream.index != self._stream.index:
                stream.discard = Discard.all
        return (self._stream,)

    def _decode(
        self, packet: Packet[Stream] | None, stamps: Stamps, sampling: Sampling
    ) -> Iterator[_Held]:
        """What the decoder gives for a packet (None: what it still holds at the end)."""
        t = math.inf
        if packet is not None:
            # Not every decoder knows how to leave frames out; VP9's decodes all it is given.
            fed = sampling is not Sampling.KEYFRAMES or packet.is_keyframe
            t, duration = stamps.packet(packet)
            self._line.packet(t, duration, wanted=fed)
            if packet.is_corrupt:
                # By the demuxer's own account, as where the counters of a transport stream skip. What
                # is predicted from it is none of it seen.
                self._line.loss(t)
                self._intact, self._patched = False, t
            if not fed:
                return
            if packet.is_discard:
                packet = _shown(packet)
        try:
            if packet is not None and sampling is Sampling.KEYFRAMES:
                frames = self._decode_alone(packet)
            else:
                frames = self._stream.codec_context.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            self._not_implemented |= isinstance(
                error, av.error.PatchWelcomeError | av.error.NotImplementedError
            )
            stamps.refused()
            self._line.loss(min(t, self._line.end))
            self._intact = False
            return
        self._note_complaints(t)
        for frame in frames:
            shown = stamps.frame(frame)
            if frame.width * frame.height > self._limits.max_pixels:
                self._line.loss(shown)
                self.trouble = Reason.TOO_MANY_PIXELS
                continue
            if frame.is_corrupt:
                self._intact = False
            elif frame.key_frame or frame.pict_type is PictureType.I:
                self._intact = shown > self._patched
            yield _Held(self._frame(frame, shown), self._intact)

    def _note_complaints(self, t: float) -> None:
        """What a decoder patches up is the ground of all that follows, up to the next keyframe.

        t: of the packet, which may be a keyframe's own.
        """
        complained = complaints.count(self._decoder)
        if complained > self._complained:
            self._complained, self._intact, self._patched = complained, False, t

    def _frame(self, decoded: VideoFrame, t: float) -> Frame:
        turn = self._turns.of(decoded)
        plane, full_range = pixels.luma(decoded)
        return Frame(t, turn.apply(plane), full_range, partial(_picture, decoded, turn))

    def _decode_alone(self, packet: Packet[Stream]) -> list[VideoFrame]:
        """A keyframe's own frame. Without what lies between, a decoder orders keyframes wrongly."""
        context = self._stream.codec_context
        try:
            return context.decode(packet) + context.decode(None)
        finally:
            context.flush_buffers()

    def _note_gap(self, t: float, sampling: Sampling) -> bool:
        """Whether the sampling suffices up to a frame at t. A gap it did not make is a loss."""
        keyframes = sampling is Sampling.KEYFRAMES
        if keyframes and self._line.left_out(self._limits.max_keyframe_gap_seconds, t):
            return False
        gap = self._line.sparse(t)
        if gap is not None:
            if sampling is Sampling.REFERENCE:
                return False
            self._line.loss(gap)
        return True

    def _conclude(self, sampling: Sampling) -> None:
        line = self._line
        complained = complaints.heard() - self._before
        self._damaged |= complained[self._demuxer] > 0
        if sampling is not Sampling.KEYFRAMES:
            if self._damaged or complained[self._decoder]:
                line.distrust_gaps()
            # An index that lists all samples lacks none. Those of fragments are in no index.
            listed = self._stream.frames if self._demuxer == "mov" else 0
            if line.packets > listed:
                line.note_holes(self._declared_step())
        if complained[complaints.TOO_MANY_PIXELS] and self.trouble is None:
            self.trouble = Reason.TOO_MANY_PIXELS
        slack = max(self._limits.max_gap_seconds, _SHORTFALL * (self.duration or 0.0))
        whole = not self._damaged and self.trouble is None
        # A file's duration that another stream reaches says nothing of the video; nor does one
        # that was computed across a jump in the timestamps.
        if whole and self.duration is not None:
            outlasted = self._borrowed and self._elsewhere > self.duration - slack
            more = self.duration - line.end
            if outlasted or self._jumped or line.step / 2 < more <= self._rounding():
                self.duration = line.end
        unseen = max(line.end, self.duration or 0.0) - line.seen()
        if self.trouble is None and (self._damaged or unseen > slack):
            self.trouble = Reason.TRUNCATED

    def _announced(self) -> bool:
        """Whether the container says that the stream has frames. FLV and MPEG-TS only name it."""
        named_only = self._demuxer in ("flv", "mpegts")
        return bool(self._stream.frames) or (not named_only and bool(self._stream.duration))

    def _rounding(self) -> float:
        """Seconds by which a container may claim more than its packets fill, and lack no frame.

        Writers count the start of the first frame twice, which is where reordering delays it to, or
        round to a frame more.
        """
        base, start = self._stream.time_base, self._stream.start_time
        offset = float(start * base) if base is not None and start is not None else 0.0
        delay = max(self._limits.max_gap_seconds, self._delay)
        return min(max(offset, 0.0), delay) + _ROUNDED * self._line.step

    def _declared_step(self) -> float | None:
        """Seconds between frames by what the file says of them, None where it says nothing."""
        # A transport stream's rate is FFmpeg's own estimate from its packets.
        rate = None if self._demuxer == "mpegts" else self._stream.average_rate
        return float(1 / rate) if rate else None

    def _why_nothing(self) -> Reason:
        if not self._line.packets and not self._damaged and not self._announced():
            return Reason.NO_VIDEO_STREAM
        if self.trouble is not None and self.trouble is not Reason.TRUNCATED:
            return self.trouble
        return Reason.UNSUPPORTED_CODEC if self._not_implemented else Reason.DAMAGED


def _shown(packet: Packet[Stream]) -> Packet[Stream]:
    """The packet without its demuxer's mark that nobody is to see its frame.

    Fragments of an MP4 that go over others in time are marked; a browser that is fed them shows them.
    """
    copy: Packet[Stream] = Packet(bytes(packet))
    copy.stream, copy.time_base = packet.stream, packet.time_base
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.is_keyframe = packet.is_keyframe
    for data in packet.iter_sidedata():
        copy.set_sidedata(data)
    return copy


def _picture(decoded: VideoFrame, turn: pixels.Turn) -> Image.Image:
    rgb = decoded.to_ndarray(format="rgb24", threads=1).astype(np.uint8, copy=False)
    return Image.fromarray(turn.apply(rgb))
