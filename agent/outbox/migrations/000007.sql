-- When the last 60 events were heard. They outlive their delivery: counted among the events that wait, the bound on rate would
-- be none while a courier takes them away.
CREATE TABLE recent (
  sequence INTEGER PRIMARY KEY CHECK (sequence BETWEEN 1 AND 1000000000000),
  boot INTEGER NOT NULL REFERENCES boot,
  onset_monotonic_ms INTEGER NOT NULL CHECK (onset_monotonic_ms BETWEEN -600000 AND 3153600000000)
) STRICT;
INSERT INTO recent SELECT sequence, boot, onset_monotonic_ms FROM event ORDER BY sequence DESC LIMIT 60;

DROP TRIGGER event_rate;
CREATE TRIGGER event_rate BEFORE INSERT ON event
WHEN (SELECT count(*) FROM recent WHERE boot = NEW.boot AND onset_monotonic_ms > NEW.onset_monotonic_ms - 60000) >= 60
BEGIN SELECT raise(ABORT, 'event rate'); END;
CREATE TRIGGER event_recent AFTER INSERT ON event
BEGIN
  INSERT INTO recent VALUES (NEW.sequence, NEW.boot, NEW.onset_monotonic_ms);
  DELETE FROM recent WHERE sequence NOT IN (SELECT sequence FROM recent ORDER BY sequence DESC LIMIT 60);
END;
