"""A synthetic lending world with known rings, look-alikes and lost contacts: any size, same bytes for a seed."""

from ingest.synthetic.settings import WorldCounts, WorldSettings
from ingest.synthetic.world import block_frames, write_block, write_world

__all__ = ["WorldCounts", "WorldSettings", "block_frames", "write_block", "write_world"]
