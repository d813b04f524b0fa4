-- A journal as release 0.1 (migration 1) left it, with data in every table. It is frozen: it must open for ever.
BEGIN TRANSACTION;
CREATE TABLE deliveries (
        sop_instance_uid TEXT NOT NULL REFERENCES objects,
        destination TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        claim TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        stores INTEGER NOT NULL DEFAULT 0,
        rounds INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL DEFAULT 0,
        stored_at TEXT NOT NULL DEFAULT '',
        committed_at TEXT NOT NULL DEFAULT '',
        said TEXT NOT NULL DEFAULT '',
        warning TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (sop_instance_uid, destination)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "deliveries" VALUES('1.2.1','one','committed','',1,0,1,0,0.0,'2026-11-22T08:00:00+00:00','2026-11-22T08:00:00+00:00','','');
INSERT INTO "deliveries" VALUES('1.2.1','two','pending','',0,0,0,0,0.0,'','','','');
INSERT INTO "deliveries" VALUES('1.2.2','one','commit_requested','',1,0,1,0,0.0,'2026-11-22T08:00:00+00:00','','','changed (status B000H)');
INSERT INTO "deliveries" VALUES('1.2.2','two','pending','',0,0,0,0,0.0,'','','','');
INSERT INTO "deliveries" VALUES('1.2.3','one','stored','',1,0,1,0,0.0,'2026-11-22T08:00:00+00:00','','','');
INSERT INTO "deliveries" VALUES('1.2.4','one','refused','',1,0,0,0,0.0,'','','the archive cannot understand the object (status C000H)','');
INSERT INTO "deliveries" VALUES('1.2.5','one','storing','boot 1',1,0,0,0,0.0,'','','','');
INSERT INTO "deliveries" VALUES('1.2.6','one','pending','',1,1,0,0,1795334405.0,'','','down','');
INSERT INTO "deliveries" VALUES('1.2.7','one','pending','',0,0,0,0,0.0,'','','','');
CREATE TABLE objects (
        sop_instance_uid TEXT PRIMARY KEY,
        exam_id TEXT NOT NULL,
        sop_class_uid TEXT NOT NULL,
        transfer_syntax_uid TEXT NOT NULL,
        study_instance_uid TEXT NOT NULL DEFAULT '',
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        file_name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        frames INTEGER NOT NULL DEFAULT 0,
        patient_id TEXT NOT NULL DEFAULT '',
        accession_number TEXT NOT NULL DEFAULT '',
        captured_at TEXT NOT NULL DEFAULT '',
        saved_at TEXT NOT NULL DEFAULT '',
        place TEXT NOT NULL DEFAULT 'awaited' CHECK (place IN ('awaited', 'outbox', 'kept', 'quarantine'))
    ) STRICT;
INSERT INTO "objects" VALUES('1.2.1','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.1~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','outbox');
INSERT INTO "objects" VALUES('1.2.2','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.2~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','outbox');
INSERT INTO "objects" VALUES('1.2.3','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.3~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','outbox');
INSERT INTO "objects" VALUES('1.2.4','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.4~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','outbox');
INSERT INTO "objects" VALUES('1.2.5','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.5~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','outbox');
INSERT INTO "objects" VALUES('1.2.6','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.6~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','outbox');
INSERT INTO "objects" VALUES('1.2.7','20261122-093000-0001','1.2.840.1','1.2.840.2','1.2.9.9','us','US','1.2.7~0~0000000000000000000000000000000000000000000000000000000000000000.dcm',8,1,'HS-1','A1','2026-11-22T08:00:00+00:00','2026-11-22T08:00:01+00:00','awaited');
CREATE TABLE peers (
        name TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        next_attempt_at REAL NOT NULL,
        trouble TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "peers" VALUES('destination one',1,1795334405.0,'ONE is down.');
CREATE TABLE steps (
        sop_instance_uid TEXT PRIMARY KEY,
        exam_id TEXT NOT NULL,
        modality TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'due',
        outcome TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'COMPLETED', 'DISCONTINUED')),
        managers_uid TEXT NOT NULL,
        creation_sent INTEGER NOT NULL DEFAULT 0,
        final_sent INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL DEFAULT 0,
        said TEXT NOT NULL DEFAULT ''
    ) STRICT, WITHOUT ROWID;
INSERT INTO "steps" VALUES('5.5','20261122-093000-0001','US','in progress','','5.5',1,0,0,0.0,'');
CREATE TABLE transaction_members (
        transaction_uid TEXT NOT NULL REFERENCES transactions,
        sop_instance_uid TEXT NOT NULL,
        stores INTEGER NOT NULL,
        PRIMARY KEY (transaction_uid, sop_instance_uid)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "transaction_members" VALUES('9.1','1.2.1',1);
INSERT INTO "transaction_members" VALUES('9.2','1.2.2',1);
CREATE TABLE transactions (
        transaction_uid TEXT PRIMARY KEY,
        destination TEXT NOT NULL,
        deadline_at REAL NOT NULL,
        is_taken INTEGER NOT NULL DEFAULT 0,
        is_open INTEGER NOT NULL DEFAULT 1
    ) STRICT, WITHOUT ROWID;
INSERT INTO "transactions" VALUES('9.1','one',1795338000.0,0,0);
INSERT INTO "transactions" VALUES('9.2','one',1795338000.0,1,1);
CREATE INDEX objects_of_exam ON objects (exam_id);
CREATE INDEX objects_in_place ON objects (place);
CREATE INDEX deliveries_due ON deliveries (destination, state, next_attempt_at);
CREATE INDEX steps_of_exam ON steps (exam_id);
COMMIT;
PRAGMA user_version = 1;
