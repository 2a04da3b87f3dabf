-- When a boot began, on a clock that was right; null until the clock was. Events from before the clock was set are put right by it.
ALTER TABLE boot ADD COLUMN began_wall_ms INTEGER CHECK (began_wall_ms BETWEEN 0 AND 32503680000000);
