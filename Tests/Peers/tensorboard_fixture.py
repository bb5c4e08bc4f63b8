"""Writes the events that Tests/ReportingTests/EventFileTests.swift compares bytes with, by TensorBoard's own writer.

    pip install tensorboard==2.21.0 && python3 Tests/Peers/tensorboard_fixture.py > Tests/ReportingTests/Fixtures/events.tfevents
"""

import io
import sys

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

STEPS = [(20, [("gradientNorm", 1.4289751497400291), ("loss", 6.723053549416363), ("losses/balance", 0.0625)]),
         (300, [("gradientNorm", 1e-9), ("loss", 4.5), ("losses/balance", 2.0)])]

out = io.BytesIO()
records = RecordWriter(out)
records.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
for step, scalars in STEPS:
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in scalars])
    records.write(Event(wall_time=float(step), step=step, summary=summary).SerializeToString())
records.flush()
sys.stdout.buffer.write(out.getvalue())
