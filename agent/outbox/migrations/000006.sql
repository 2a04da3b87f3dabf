-- For `tocsin calibrate thresholds`: how many events there would have been at each threshold, summed over a day of listening (24 h of
-- sound that was heard; longer only where the disk took nothing for a while). No time of an event, no score, no level: only sums. The
-- last 60 days are kept. `step` counts thresholds a quarter of a logit apart: 1 / (1 + exp(4 - step / 4)).
CREATE TABLE listening_day (
  day INTEGER PRIMARY KEY CHECK (day BETWEEN 1 AND 1000000),
  model INTEGER NOT NULL REFERENCES model,
  strict INTEGER NOT NULL CHECK (strict IN (0, 1)),
  first_utc_day INTEGER CHECK (first_utc_day BETWEEN 0 AND 376200),
  last_utc_day INTEGER CHECK (last_utc_day BETWEEN 0 AND 376200),
  listened_ms INTEGER NOT NULL CHECK (listened_ms BETWEEN 0 AND 604800000)
) STRICT;

CREATE TABLE would_be_event (
  day INTEGER NOT NULL REFERENCES listening_day ON DELETE CASCADE,
  label INTEGER NOT NULL REFERENCES label,
  step INTEGER NOT NULL CHECK (step BETWEEN 0 AND 44),
  events INTEGER NOT NULL CHECK (events BETWEEN 1 AND 1000000),
  PRIMARY KEY (day, label, step)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER listening_days BEFORE INSERT ON listening_day
WHEN (SELECT count(*) FROM listening_day) >= 60
BEGIN SELECT raise(ABORT, 'more than 60 days of listening'); END;
