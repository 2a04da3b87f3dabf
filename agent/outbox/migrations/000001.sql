-- The closed schema: everything that could ever leave the sensor. No column can hold sound, an embedding or free text:
-- all values are bounded integers, except names from an enumerated list, a boot id and a model's name, whose shapes are checked.
CREATE TABLE outbox (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL CHECK (length(id) = 16 AND id NOT GLOB '*[^0-9a-f]*')
) STRICT;
INSERT INTO outbox VALUES (1, lower(hex(randomblob(8))));

CREATE TABLE label (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (name IN ('glass_break', 'shout', 'bang'))
) STRICT;
INSERT INTO label VALUES (1, 'glass_break'), (2, 'shout'), (3, 'bang');

CREATE TABLE boot (
  id INTEGER PRIMARY KEY,
  boot_id TEXT NOT NULL UNIQUE CHECK (length(boot_id) = 36 AND boot_id NOT GLOB '*[^0-9a-f-]*')
) STRICT;

CREATE TABLE model (
  id INTEGER PRIMARY KEY CHECK (id <= 64),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 32 AND name NOT GLOB '*[^0-9a-z-]*'),
  version TEXT NOT NULL CHECK (length(version) BETWEEN 1 AND 32 AND version NOT GLOB '*[^0-9a-z.-]*'),
  UNIQUE (name, version)
) STRICT;

CREATE TABLE event (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT CHECK (sequence BETWEEN 1 AND 1000000000000),
  label INTEGER NOT NULL REFERENCES label,
  boot INTEGER NOT NULL REFERENCES boot,
  model INTEGER NOT NULL REFERENCES model,
  onset_wall_ms INTEGER NOT NULL CHECK (onset_wall_ms BETWEEN -86400000 AND 32503680000000),
  onset_monotonic_ms INTEGER NOT NULL CHECK (onset_monotonic_ms BETWEEN -600000 AND 3153600000000),
  clock_synchronised INTEGER NOT NULL CHECK (clock_synchronised IN (0, 1)),
  duration_ms INTEGER NOT NULL CHECK (duration_ms BETWEEN 0 AND 600000),
  confidence_permille INTEGER NOT NULL CHECK (confidence_permille BETWEEN 0 AND 1000),
  above_background_decibels INTEGER NOT NULL CHECK (above_background_decibels BETWEEN -20 AND 140),
  spl_decibels INTEGER CHECK (spl_decibels BETWEEN 0 AND 200),
  glass_break_permille INTEGER NOT NULL CHECK (glass_break_permille BETWEEN 0 AND 1000),
  shout_permille INTEGER NOT NULL CHECK (shout_permille BETWEEN 0 AND 1000),
  bang_permille INTEGER NOT NULL CHECK (bang_permille BETWEEN 0 AND 1000)
) STRICT;

-- A bound on rate that no program can lift without changing the schema: 60 events in any minute of one boot.
CREATE TRIGGER event_rate BEFORE INSERT ON event
WHEN (SELECT count(*) FROM (SELECT 1 FROM event WHERE sequence > (SELECT coalesce(max(sequence), 0) - 60 FROM event)
      AND boot = NEW.boot AND onset_monotonic_ms > NEW.onset_monotonic_ms - 60000)) >= 60
BEGIN SELECT raise(ABORT, 'event rate'); END;

-- What became of every event.
CREATE TABLE fate (
  name TEXT PRIMARY KEY CHECK (name IN ('stored', 'sent', 'expired', 'refused')),
  events INTEGER NOT NULL CHECK (events >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO fate VALUES ('stored', 0), ('sent', 0), ('expired', 0), ('refused', 0);
