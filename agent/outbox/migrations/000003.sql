-- What the listener knows of its own hearing, for the courier to publish: one row, replaced.
CREATE TABLE hearing (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  boot INTEGER NOT NULL REFERENCES boot,
  model INTEGER NOT NULL REFERENCES model,
  written_monotonic_ms INTEGER NOT NULL CHECK (written_monotonic_ms BETWEEN 0 AND 3153600000000),
  since_monotonic_ms INTEGER NOT NULL CHECK (since_monotonic_ms BETWEEN 0 AND 3153600000000),
  state TEXT NOT NULL CHECK (state IN ('starting', 'listening', 'deaf', 'stopped')),
  fault TEXT NOT NULL CHECK (fault IN ('none', 'absent', 'busy', 'unplugged', 'stuck', 'zeros', 'flat', 'clipped', 'slow', 'fast', 'wrong_device', 'failed')),
  suspicion TEXT NOT NULL CHECK (suspicion IN ('none', 'covered', 'noisy')),
  listened_ms INTEGER NOT NULL CHECK (listened_ms BETWEEN 0 AND 3153600000000),
  dropped_samples INTEGER NOT NULL CHECK (dropped_samples BETWEEN 0 AND 1000000000000),
  opens INTEGER NOT NULL CHECK (opens BETWEEN 0 AND 1000000000),
  starts INTEGER NOT NULL CHECK (starts BETWEEN 1 AND 1000000),
  noise_floor_decibels INTEGER CHECK (noise_floor_decibels BETWEEN -120 AND 20)
) STRICT;

-- What is usual at this place, by hour of the day in UTC, from quarters of an hour: levels exceeded 90 % and 10 % of the time.
CREATE TABLE usual_level (
  hour INTEGER PRIMARY KEY CHECK (hour BETWEEN 0 AND 23),
  quarters INTEGER NOT NULL CHECK (quarters BETWEEN 1 AND 1000000),
  floor_millibels INTEGER NOT NULL CHECK (floor_millibels BETWEEN -12000 AND 2000),
  loud_millibels INTEGER NOT NULL CHECK (loud_millibels BETWEEN -12000 AND 2000)
) STRICT;
