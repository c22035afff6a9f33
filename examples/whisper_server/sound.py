"""Turns an audio file in memory into the samples that Whisper takes."""

import io

import av
import numpy

RATE = 16_000
SECONDS_MAX = 30 * 60  # the samples of more would not fit the memory that is declared
# Containers by libav's names. Playlists are not among them: they make libav open other files.
FORMATS = "wav,mp3,flac,ogg,mov,matroska,aac"


class SoundError(Exception):
    """Why a file has no usable sound, for the client."""


def frames_of(container):
    """Decoded frames; packets that are damaged are left out, as players do."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def samples_of(data):
    """Mono samples between -1 and 1 at RATE."""
    pieces, count = [], 0
    try:
        with av.open(io.BytesIO(data), mode="r", metadata_errors="ignore",
                     options={"format_whitelist": FORMATS}) as container:
            if not container.streams.audio:
                raise SoundError("the file has no sound")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in frames_of(container):
                for piece in resampler.resample(frame):
                    pieces.append(piece.to_ndarray().reshape(-1))
                    count += len(pieces[-1])
                if count > SECONDS_MAX * RATE:
                    raise SoundError(f"the sound is longer than {SECONDS_MAX // 60} minutes")
            if pieces:
                pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise SoundError(f"the file cannot be decoded: {error}") from None
    if not count:
        raise SoundError("the file has no sound")
    return numpy.concatenate(pieces).astype(numpy.float32) / 32768
