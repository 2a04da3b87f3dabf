-- For how many hours the courier has run since this outbox took the place of a damaged file, which is told for a week. Null where none was damaged.
ALTER TABLE outbox ADD COLUMN repaired_hours INTEGER CHECK (repaired_hours BETWEEN 0 AND 168);
