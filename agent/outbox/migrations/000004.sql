-- What a city needs to plan ahead: a row for each hour until the platform has it. Sums and levels of an hour; nothing of a moment.
CREATE TABLE hour_summary (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT CHECK (sequence BETWEEN 1 AND 1000000000),
  boot INTEGER NOT NULL REFERENCES boot,
  model INTEGER NOT NULL REFERENCES model,
  began_wall_ms INTEGER NOT NULL CHECK (began_wall_ms BETWEEN -86400000 AND 32503680000000),
  began_monotonic_ms INTEGER NOT NULL CHECK (began_monotonic_ms BETWEEN 0 AND 3153600000000),
  clock_synchronised INTEGER NOT NULL CHECK (clock_synchronised IN (0, 1)),
  elapsed_ms INTEGER NOT NULL CHECK (elapsed_ms BETWEEN 0 AND 7200000),
  listened_ms INTEGER NOT NULL CHECK (listened_ms BETWEEN 0 AND 7200000),
  glass_breaks INTEGER NOT NULL CHECK (glass_breaks BETWEEN 0 AND 100000),
  shouts INTEGER NOT NULL CHECK (shouts BETWEEN 0 AND 100000),
  bangs INTEGER NOT NULL CHECK (bangs BETWEEN 0 AND 100000),
  laeq_millibels INTEGER CHECK (laeq_millibels BETWEEN -13000 AND 2000),
  la10_millibels INTEGER CHECK (la10_millibels BETWEEN -13000 AND 2000),
  la90_millibels INTEGER CHECK (la90_millibels BETWEEN -13000 AND 2000),
  full_scale_spl_millibels INTEGER CHECK (full_scale_spl_millibels BETWEEN 6000 AND 16000)
) STRICT;
