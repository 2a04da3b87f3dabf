-- While a listener runs: numbers up to here may have been given out, whatever this file shows. It stands in the file itself and not in
-- the WAL alone, so that numbers are not given out twice where the WAL is lost. Null once the listener has ended in order.
ALTER TABLE outbox ADD COLUMN reserved INTEGER CHECK (reserved BETWEEN 1 AND 1000000000000);
