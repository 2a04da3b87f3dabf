-- What counted: a number for the graph, its classes and the rules of the manifest, which may change without the version. Null where an earlier release counted.
ALTER TABLE listening_day ADD COLUMN recognition INTEGER CHECK (recognition BETWEEN 0 AND 281474976710655);
