-- How often the listener that wrote this reports, by which the courier judges whether it is late. Null where an earlier release wrote it.
ALTER TABLE hearing ADD COLUMN interval_seconds INTEGER CHECK (interval_seconds BETWEEN 5 AND 3600);
