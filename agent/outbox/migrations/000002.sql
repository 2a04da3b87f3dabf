-- What will never arrive is named until the platform has been told: ranges of sequence numbers, and why.
CREATE TABLE gap (
  first INTEGER PRIMARY KEY CHECK (first BETWEEN 1 AND 1000000000000),
  last INTEGER NOT NULL CHECK (last BETWEEN first AND 1000000000000),
  reason TEXT NOT NULL CHECK (reason IN ('too_old', 'too_many', 'dropped', 'unreadable'))
) STRICT;

CREATE TABLE every_fate (
  name TEXT PRIMARY KEY CHECK (name IN ('stored', 'sent', 'expired', 'refused', 'dropped', 'unreadable')),
  events INTEGER NOT NULL CHECK (events >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO every_fate SELECT name, events FROM fate;
INSERT INTO every_fate VALUES ('dropped', 0), ('unreadable', 0);
DROP TABLE fate;
ALTER TABLE every_fate RENAME TO fate;
