-- The whole schema. The tables' meaning stands in controller/models; the rules a database can hold stand here.

CREATE TABLE account (
    id BIGSERIAL NOT NULL,
    code VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    floored BOOLEAN NOT NULL,
    debits NUMERIC(78, 0) NOT NULL,
    credits NUMERIC(78, 0) NOT NULL,
    CONSTRAINT pk_account PRIMARY KEY (id),
    CONSTRAINT ck_account_not_negative CHECK (debits >= 0 AND credits >= 0),
    CONSTRAINT ck_account_floor CHECK (NOT floored OR credits >= debits),
    CONSTRAINT uq_account_code UNIQUE (code)
);

CREATE TABLE chain_cursor (
    chain_id BIGINT NOT NULL,
    genesis_hash VARCHAR(66) NOT NULL,
    block_number BIGINT NOT NULL,
    block_hash VARCHAR(66) NOT NULL,
    stopped_why VARCHAR,
    CONSTRAINT pk_chain_cursor PRIMARY KEY (chain_id)
);

CREATE TABLE chain_header (
    chain_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hash VARCHAR(66) NOT NULL,
    parent_hash VARCHAR(66) NOT NULL,
    CONSTRAINT pk_chain_header PRIMARY KEY (chain_id, number)
);

CREATE TABLE host (
    name VARCHAR NOT NULL,
    address VARCHAR NOT NULL,
    connection VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    simulated BOOLEAN NOT NULL,
    gateway_url VARCHAR NOT NULL,
    drain BOOLEAN NOT NULL,
    boot_id VARCHAR,
    last_report_at_ms BIGINT,
    health JSONB,
    health_at_ms BIGINT,
    image_id VARCHAR,
    previous_image_id VARCHAR,
    CONSTRAINT pk_host PRIMARY KEY (name),
    CONSTRAINT ck_host_state CHECK (state IN ('ready', 'draining', 'lost', 'removed')),
    CONSTRAINT ck_host_connection CHECK (connection IN ('local', 'ssh'))
);

CREATE TABLE journal_batch (
    id BIGSERIAL NOT NULL,
    at_ms BIGINT NOT NULL,
    prev_hash VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    CONSTRAINT pk_journal_batch PRIMARY KEY (id),
    CONSTRAINT uq_journal_batch_prev_hash UNIQUE (prev_hash),
    CONSTRAINT uq_journal_batch_hash UNIQUE (hash)
);

CREATE TABLE money_event (
    id BIGSERIAL NOT NULL,
    chain_id BIGINT NOT NULL,
    tx_hash VARCHAR(66) NOT NULL,
    position VARCHAR NOT NULL,
    recipient VARCHAR(42) NOT NULL,
    sender VARCHAR(42) NOT NULL,
    nonce BIGINT,
    asset VARCHAR NOT NULL,
    payer VARCHAR(42) NOT NULL,
    amount NUMERIC(78, 0) NOT NULL,
    block_number BIGINT NOT NULL,
    block_hash VARCHAR(66) NOT NULL,
    state VARCHAR NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    credited_gpu_ms BIGINT,
    transfer_key VARCHAR,
    beneficiary VARCHAR(42),
    waits_why VARCHAR,
    look_again_ms BIGINT,
    noted BOOLEAN NOT NULL,
    top_up_due BOOLEAN NOT NULL,
    rail VARCHAR(8) NOT NULL,
    unwatched BOOLEAN NOT NULL,
    evidence JSONB NOT NULL,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_money_event PRIMARY KEY (id),
    CONSTRAINT uq_money_event_chain_id_tx_hash_position UNIQUE (chain_id, tx_hash, position),
    CONSTRAINT ck_money_event_state CHECK (state IN ('seen', 'confirming', 'credited', 'final', 'orphaned', 'below_min', 'unattributed', 'wrong_asset', 'price_pending', 'reversed', 'own_move', 'returned')),
    CONSTRAINT ck_money_event_positive CHECK (amount > 0)
);
CREATE INDEX ix_money_event_block_number ON money_event (block_number);
CREATE INDEX ix_money_event_payer ON money_event (payer);
CREATE INDEX ix_money_event_state ON money_event (state);
CREATE INDEX ix_money_event_beneficiary ON money_event (beneficiary);
CREATE INDEX ix_money_event_sender_nonce ON money_event (sender, nonce);
CREATE INDEX ix_money_event_unwatched ON money_event (chain_id) WHERE unwatched;
CREATE INDEX ix_money_event_top_up_due ON money_event (chain_id) WHERE top_up_due;

CREATE TABLE operator_alert (
    id BIGSERIAL NOT NULL,
    kind VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    since_ms BIGINT NOT NULL,
    cleared_at_ms BIGINT,
    CONSTRAINT pk_operator_alert PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_operator_alert_open ON operator_alert (kind, subject) WHERE cleared_at_ms IS NULL;

CREATE TABLE payment_addresses (
    id BIGSERIAL NOT NULL,
    fingerprint VARCHAR(64) NOT NULL,
    addresses JSONB NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    asked_at_ms BIGINT NOT NULL,
    approver VARCHAR,
    decided_at_ms BIGINT,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_payment_addresses PRIMARY KEY (id),
    CONSTRAINT ck_payment_addresses_state CHECK (state IN ('waiting', 'accepted', 'refused')),
    CONSTRAINT ck_payment_addresses_four_eyes CHECK (state <> 'accepted' OR approver IS NULL OR actor <> approver)
);
CREATE UNIQUE INDEX uq_payment_addresses_waiting ON payment_addresses (fingerprint) WHERE state = 'waiting';

CREATE TABLE rate_limit (
    scope VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    window_start_ms BIGINT NOT NULL,
    count INTEGER NOT NULL,
    CONSTRAINT pk_rate_limit PRIMARY KEY (scope, subject, window_start_ms)
);

CREATE TABLE sent_transaction (
    chain_id BIGINT NOT NULL,
    tx_hash VARCHAR(66) NOT NULL,
    sender VARCHAR(42) NOT NULL,
    nonce BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_sent_transaction PRIMARY KEY (chain_id, tx_hash)
);
CREATE INDEX ix_sent_transaction_seen_at_ms ON sent_transaction (seen_at_ms);

CREATE TABLE sign_in_nonce (
    nonce VARCHAR NOT NULL,
    address VARCHAR(42) NOT NULL,
    browser_hash VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_sign_in_nonce PRIMARY KEY (nonce)
);
CREATE INDEX ix_sign_in_nonce_expires_at_ms ON sign_in_nonce (expires_at_ms);

CREATE TABLE wallet (
    address VARCHAR(42) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_wallet PRIMARY KEY (address)
);

CREATE TABLE money_event_transition (
    id BIGSERIAL NOT NULL,
    event_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    from_state VARCHAR,
    to_state VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_money_event_transition PRIMARY KEY (id),
    CONSTRAINT fk_money_event_transition_event_id_money_event FOREIGN KEY(event_id) REFERENCES money_event (id)
);
CREATE INDEX ix_money_event_transition_event_id ON money_event_transition (event_id);

CREATE TABLE quote (
    id VARCHAR(36) NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    rail VARCHAR NOT NULL,
    chain_id BIGINT NOT NULL,
    asked VARCHAR NOT NULL,
    amount NUMERIC(78, 0) NOT NULL,
    gpu_ms BIGINT NOT NULL,
    block_number BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    terms JSONB NOT NULL,
    event_id BIGINT,
    CONSTRAINT pk_quote PRIMARY KEY (id),
    CONSTRAINT ck_quote_positive CHECK (amount > 0),
    CONSTRAINT ck_quote_forward CHECK (expires_at_ms > created_at_ms),
    CONSTRAINT uq_quote_event_id UNIQUE (event_id),
    CONSTRAINT fk_quote_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address),
    CONSTRAINT fk_quote_event_id_money_event FOREIGN KEY(event_id) REFERENCES money_event (id)
);
CREATE INDEX ix_quote_expires_at_ms ON quote (expires_at_ms);
CREATE INDEX ix_quote_wallet_expires_at_ms ON quote (wallet, expires_at_ms);

CREATE TABLE slot (
    id VARCHAR(20) NOT NULL,
    host VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    subnet_index INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    fencing_token BIGINT NOT NULL,
    config_digest VARCHAR NOT NULL,
    image_id VARCHAR NOT NULL,
    container_id VARCHAR,
    lease_until_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    last_alive_ms BIGINT,
    gone_at_ms BIGINT,
    ssh_port INTEGER,
    CONSTRAINT pk_slot PRIMARY KEY (id),
    CONSTRAINT ck_slot_state CHECK (state IN ('intended', 'warm', 'up', 'stopping', 'gone')),
    CONSTRAINT ck_slot_subnet CHECK (subnet_index BETWEEN 0 AND 4094),
    CONSTRAINT ck_slot_ssh_port CHECK (ssh_port BETWEEN 1024 AND 65535),
    CONSTRAINT fk_slot_host_host FOREIGN KEY(host) REFERENCES host (name)
);
CREATE INDEX ix_slot_host ON slot (host);
CREATE UNIQUE INDEX uq_slot_subnet ON slot (host, subnet_index) WHERE state <> 'gone';
CREATE UNIQUE INDEX uq_slot_ssh_port ON slot (host, ssh_port) WHERE state <> 'gone';

CREATE TABLE ssh_key (
    id VARCHAR(36) NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    name VARCHAR(60) NOT NULL,
    public_key VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_ssh_key PRIMARY KEY (id),
    CONSTRAINT uq_ssh_key_wallet_fingerprint UNIQUE (wallet, fingerprint),
    CONSTRAINT fk_ssh_key_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address)
);

CREATE TABLE api_token (
    id VARCHAR(36) NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    name VARCHAR(60) NOT NULL,
    token_hash VARCHAR(64) NOT NULL,
    scopes VARCHAR NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    last_used_at_ms BIGINT,
    contract_digest VARCHAR(66),
    contract_signature VARCHAR,
    recheck_at_ms BIGINT,
    CONSTRAINT pk_api_token PRIMARY KEY (id),
    CONSTRAINT uq_api_token_token_hash UNIQUE (token_hash),
    CONSTRAINT ck_api_token_scopes CHECK (scopes <> ''),
    CONSTRAINT fk_api_token_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address)
);
CREATE INDEX ix_api_token_recheck ON api_token (recheck_at_ms);
CREATE INDEX ix_api_token_wallet ON api_token (wallet);

CREATE TABLE warm_desktop (
    slot_id VARCHAR NOT NULL,
    profile VARCHAR NOT NULL,
    gpus JSONB NOT NULL,
    image_id VARCHAR NOT NULL,
    created_at_ms BIGINT NOT NULL,
    painted_at_ms BIGINT,
    memory_mib INTEGER,
    claimed_at_ms BIGINT,
    retired_why VARCHAR,
    CONSTRAINT pk_warm_desktop PRIMARY KEY (slot_id),
    CONSTRAINT ck_warm_desktop_gpus CHECK (jsonb_array_length(gpus) > 0),
    CONSTRAINT fk_warm_desktop_slot_id_slot FOREIGN KEY(slot_id) REFERENCES slot (id)
);

CREATE TABLE transfer (
    id BIGSERIAL NOT NULL,
    key VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    debit_id BIGINT NOT NULL,
    credit_id BIGINT NOT NULL,
    amount NUMERIC(78, 0) NOT NULL,
    at_ms BIGINT NOT NULL,
    batch_id BIGINT NOT NULL,
    evidence JSONB NOT NULL,
    CONSTRAINT pk_transfer PRIMARY KEY (id),
    CONSTRAINT ck_transfer_positive CHECK (amount > 0),
    CONSTRAINT ck_transfer_two_sides CHECK (debit_id <> credit_id),
    CONSTRAINT uq_transfer_key UNIQUE (key),
    CONSTRAINT fk_transfer_debit_id_account FOREIGN KEY(debit_id) REFERENCES account (id),
    CONSTRAINT fk_transfer_credit_id_account FOREIGN KEY(credit_id) REFERENCES account (id),
    CONSTRAINT fk_transfer_batch_id_journal_batch FOREIGN KEY(batch_id) REFERENCES journal_batch (id)
);
CREATE INDEX ix_transfer_at_ms ON transfer (at_ms);
CREATE INDEX ix_transfer_batch_id ON transfer (batch_id);
CREATE INDEX ix_transfer_credit_id ON transfer (credit_id);
CREATE INDEX ix_transfer_debit_id ON transfer (debit_id);

CREATE TABLE web_session (
    token_hash VARCHAR NOT NULL,
    wallet VARCHAR NOT NULL,
    csrf_token VARCHAR NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    contract_digest VARCHAR(66),
    contract_signature VARCHAR,
    recheck_at_ms BIGINT,
    CONSTRAINT pk_web_session PRIMARY KEY (token_hash),
    CONSTRAINT fk_web_session_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address)
);
CREATE INDEX ix_web_session_expires_at_ms ON web_session (expires_at_ms);
CREATE INDEX ix_web_session_recheck ON web_session (recheck_at_ms);
CREATE INDEX ix_web_session_wallet ON web_session (wallet);

CREATE TABLE gpu (
    uuid VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    index INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    slot_id VARCHAR,
    why VARCHAR,
    leased_at_ms BIGINT,
    dirty_at_ms BIGINT,
    island VARCHAR,
    CONSTRAINT pk_gpu PRIMARY KEY (uuid),
    CONSTRAINT uq_gpu_host_index UNIQUE (host, index),
    CONSTRAINT fk_gpu_host_host FOREIGN KEY(host) REFERENCES host (name),
    CONSTRAINT fk_gpu_slot_id_slot FOREIGN KEY(slot_id) REFERENCES slot (id),
    CONSTRAINT ck_gpu_state CHECK (state IN ('free', 'leased', 'dirty', 'checked', 'quarantined')),
    CONSTRAINT ck_gpu_leased_has_slot CHECK ((state = 'leased') = (slot_id IS NOT NULL))
);
CREATE INDEX ix_gpu_slot_id ON gpu (slot_id);

CREATE TABLE gpu_session (
    id VARCHAR(36) NOT NULL,
    wallet VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    profile VARCHAR NOT NULL,
    gpus INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    detached BOOLEAN NOT NULL,
    fresh_start BOOLEAN NOT NULL,
    why VARCHAR NOT NULL,
    slot_id VARCHAR,
    generation INTEGER NOT NULL,
    claimed_at_ms BIGINT NOT NULL,
    starting_at_ms BIGINT,
    ready_at_ms BIGINT,
    billed_to_ms BIGINT,
    bill_until_ms BIGINT,
    grace_until_ms BIGINT,
    seen_at_ms BIGINT,
    closed_at_ms BIGINT,
    ended_at_ms BIGINT,
    end_reason VARCHAR,
    shown_by VARCHAR DEFAULT '' NOT NULL,
    watched_at_ms BIGINT,
    idle_minutes INTEGER DEFAULT 0 NOT NULL,
    active_at_ms BIGINT,
    measured_at_ms BIGINT,
    idle_noticed_at_ms BIGINT,
    ssh_keys VARCHAR DEFAULT '' NOT NULL,
    host_key VARCHAR DEFAULT '' NOT NULL,
    opened_at_ms BIGINT,
    CONSTRAINT pk_gpu_session PRIMARY KEY (id),
    CONSTRAINT ck_gpu_session_state CHECK (state IN ('queued', 'starting', 'running', 'grace', 'ending', 'ended', 'failed')),
    CONSTRAINT ck_gpu_session_gpus CHECK (gpus > 0),
    CONSTRAINT ck_gpu_session_kind CHECK (kind IN ('desktop', 'ssh')),
    CONSTRAINT ck_gpu_session_ssh_has_key CHECK ((kind = 'ssh') = (ssh_keys <> '')),
    CONSTRAINT fk_gpu_session_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address),
    CONSTRAINT fk_gpu_session_slot_id_slot FOREIGN KEY(slot_id) REFERENCES slot (id)
);
CREATE INDEX ix_gpu_session_state ON gpu_session (state);
CREATE INDEX ix_gpu_session_wallet ON gpu_session (wallet);
CREATE UNIQUE INDEX uq_gpu_session_live_wallet ON gpu_session (wallet) WHERE state IN ('queued', 'starting', 'running', 'grace', 'ending');
CREATE UNIQUE INDEX uq_gpu_session_slot ON gpu_session (slot_id);

CREATE TABLE promise (
    session_id VARCHAR(36) NOT NULL,
    given_at_ms BIGINT NOT NULL,
    latest_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    broken_why VARCHAR NOT NULL,
    CONSTRAINT pk_promise PRIMARY KEY (session_id),
    CONSTRAINT ck_promise_ahead CHECK (latest_ms > given_at_ms),
    CONSTRAINT fk_promise_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id)
);
CREATE INDEX ix_promise_latest_ms ON promise (latest_ms);

CREATE TABLE queue_place (
    session_id VARCHAR(36) NOT NULL,
    accept_bounded BOOLEAN NOT NULL,
    accept_until_ms BIGINT,
    host VARCHAR,
    start_ms BIGINT,
    length_ms BIGINT,
    offer_until_ms BIGINT,
    reserved JSONB DEFAULT '[]' NOT NULL,
    bound_ms BIGINT,
    until_ms BIGINT,
    told_until_ms BIGINT,
    cut_for VARCHAR,
    CONSTRAINT pk_queue_place PRIMARY KEY (session_id),
    CONSTRAINT fk_queue_place_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id)
);

CREATE TABLE hold (
    id BIGSERIAL NOT NULL,
    account_id BIGINT NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    amount_gpu_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    released_at_ms BIGINT,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_hold PRIMARY KEY (id),
    CONSTRAINT ck_hold_positive CHECK (amount_gpu_ms > 0),
    CONSTRAINT fk_hold_account_id_account FOREIGN KEY(account_id) REFERENCES account (id),
    CONSTRAINT fk_hold_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id)
);
CREATE INDEX ix_hold_account_id ON hold (account_id);
CREATE UNIQUE INDEX uq_hold_open ON hold (session_id) WHERE released_at_ms IS NULL;

CREATE TABLE session_token (
    token_hash VARCHAR(64) NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_session_token PRIMARY KEY (token_hash),
    CONSTRAINT fk_session_token_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address)
);
CREATE INDEX ix_session_token_created_at_ms ON session_token (created_at_ms);

CREATE TABLE used_nonce (
    nonce VARCHAR NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_used_nonce PRIMARY KEY (nonce)
);
CREATE INDEX ix_used_nonce_expires_at_ms ON used_nonce (expires_at_ms);

CREATE TABLE settlement_sender (
    chain_id BIGINT NOT NULL,
    address VARCHAR(42) NOT NULL,
    next_nonce BIGINT NOT NULL,
    CONSTRAINT pk_settlement_sender PRIMARY KEY (chain_id, address),
    CONSTRAINT ck_settlement_sender_nonce CHECK (next_nonce >= 0)
);

-- One row for each authorization that is to be settled, written before its transaction is sent.
CREATE TABLE x402_payment (
    id BIGSERIAL NOT NULL,
    chain_id BIGINT NOT NULL,
    payer VARCHAR(42) NOT NULL,
    auth_nonce VARCHAR(66) NOT NULL,
    amount NUMERIC(78, 0) NOT NULL,
    valid_before_s BIGINT NOT NULL,
    wanted VARCHAR(64) NOT NULL,
    idempotency_hash VARCHAR(64) NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    state VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    sender VARCHAR(42) NOT NULL,
    sender_nonce BIGINT NOT NULL,
    raw VARCHAR NOT NULL,
    tx_hash VARCHAR(66) NOT NULL,
    gas_wei NUMERIC(78, 0) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    sent_at_ms BIGINT,
    decided_at_ms BIGINT,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_x402_payment PRIMARY KEY (id),
    CONSTRAINT uq_x402_payment_session_id UNIQUE (session_id),
    CONSTRAINT ck_x402_payment_state CHECK (state IN ('signed', 'settled', 'reverted', 'unsent', 'skipped')),
    CONSTRAINT ck_x402_payment_positive CHECK (amount >= 0)
);
CREATE UNIQUE INDEX uq_x402_payment_authorization ON x402_payment (chain_id, payer, auth_nonce) WHERE state IN ('signed', 'settled');
CREATE UNIQUE INDEX uq_x402_payment_sender_nonce ON x402_payment (chain_id, sender, sender_nonce) WHERE state IN ('signed', 'settled', 'reverted', 'skipped');
CREATE INDEX ix_x402_payment_tx_hash ON x402_payment (tx_hash);
CREATE INDEX ix_x402_payment_open ON x402_payment (id) WHERE state = 'signed';
CREATE INDEX ix_x402_payment_created_at_ms ON x402_payment (created_at_ms);

CREATE TABLE home (
    wallet VARCHAR(42) NOT NULL,
    host VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    generation BIGINT NOT NULL,
    base VARCHAR NOT NULL,
    fencing_token BIGINT NOT NULL,
    bytes_used BIGINT NOT NULL,
    quota_bytes BIGINT,
    created_at_ms BIGINT NOT NULL,
    measured_at_ms BIGINT NOT NULL,
    billed_to_ms BIGINT NOT NULL,
    remainder BIGINT NOT NULL,
    warned_at_ms BIGINT,
    pruned_at_ms BIGINT,
    recovery_until_ms BIGINT,
    CONSTRAINT pk_home PRIMARY KEY (wallet),
    CONSTRAINT ck_home_state CHECK (state IN ('live', 'pruning', 'pruned', 'recovering', 'restoring', 'deleting', 'gone')),
    CONSTRAINT ck_home_not_negative CHECK (bytes_used >= 0 AND remainder >= 0),
    CONSTRAINT fk_home_wallet_wallet FOREIGN KEY(wallet) REFERENCES wallet (address),
    CONSTRAINT fk_home_host_host FOREIGN KEY(host) REFERENCES host (name)
);
CREATE INDEX ix_home_host ON home (host);
CREATE INDEX ix_home_state ON home (state);

CREATE TABLE storage_window (
    id BIGSERIAL NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    rate BIGINT NOT NULL,
    billed VARCHAR NOT NULL,
    floor_gpu_ms BIGINT NOT NULL,
    gpu_ms NUMERIC(78, 0) NOT NULL,
    remainder BIGINT NOT NULL,
    transfer_key VARCHAR,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_storage_window PRIMARY KEY (id),
    CONSTRAINT uq_storage_window_wallet_from_ms UNIQUE (wallet, from_ms),
    CONSTRAINT ck_storage_window_forward CHECK (to_ms > from_ms),
    CONSTRAINT ck_storage_window_free CHECK ((kind = 'charged') OR (gpu_ms = 0)),
    CONSTRAINT ck_storage_window_posted CHECK ((transfer_key IS NOT NULL) = (gpu_ms > 0)),
    CONSTRAINT ck_storage_window_kind CHECK (kind IN ('charged', 'session', 'gap', 'away', 'floor')),
    CONSTRAINT fk_storage_window_wallet_home FOREIGN KEY(wallet) REFERENCES home (wallet)
);

CREATE TABLE home_snapshot (
    wallet VARCHAR(42) NOT NULL,
    name VARCHAR(40) NOT NULL,
    host VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_home_snapshot PRIMARY KEY (wallet, name),
    CONSTRAINT fk_home_snapshot_wallet_home FOREIGN KEY(wallet) REFERENCES home (wallet),
    CONSTRAINT fk_home_snapshot_host_host FOREIGN KEY(host) REFERENCES host (name)
);

CREATE TABLE home_event (
    id BIGSERIAL NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    at_ms BIGINT NOT NULL,
    event VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    detail JSONB NOT NULL,
    CONSTRAINT pk_home_event PRIMARY KEY (id),
    CONSTRAINT fk_home_event_wallet_home FOREIGN KEY(wallet) REFERENCES home (wallet)
);
CREATE INDEX ix_home_event_wallet ON home_event (wallet);

CREATE TABLE run (
    id BIGSERIAL NOT NULL,
    playbook VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    slot_id VARCHAR,
    session_id VARCHAR(36),
    home VARCHAR(42),
    state VARCHAR NOT NULL,
    input JSONB NOT NULL,
    result JSONB,
    error_code VARCHAR,
    attempts INTEGER NOT NULL,
    not_before_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    finished_at_ms BIGINT,
    way VARCHAR,
    way_why VARCHAR,
    timings JSONB NOT NULL,
    lease_owner VARCHAR,
    lease_token BIGINT NOT NULL,
    lease_until_ms BIGINT,
    CONSTRAINT pk_run PRIMARY KEY (id),
    CONSTRAINT ck_run_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
    CONSTRAINT fk_run_host_host FOREIGN KEY(host) REFERENCES host (name),
    CONSTRAINT fk_run_slot_id_slot FOREIGN KEY(slot_id) REFERENCES slot (id),
    CONSTRAINT fk_run_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id),
    CONSTRAINT fk_run_home_home FOREIGN KEY(home) REFERENCES home (wallet)
);
CREATE INDEX ix_run_home ON run (home);
CREATE INDEX ix_run_session_id ON run (session_id);
CREATE INDEX ix_run_slot_id ON run (slot_id);
CREATE INDEX ix_run_waiting ON run (id) WHERE state IN ('queued', 'running');

CREATE TABLE session_event (
    id BIGSERIAL NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    at_ms BIGINT NOT NULL,
    from_state VARCHAR,
    to_state VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    detail JSONB NOT NULL,
    CONSTRAINT pk_session_event PRIMARY KEY (id),
    CONSTRAINT fk_session_event_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id)
);
CREATE INDEX ix_session_event_session_id ON session_event (session_id);

CREATE TABLE usage_window (
    id BIGSERIAL NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    gpus INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    transfer_key VARCHAR,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_usage_window PRIMARY KEY (id),
    CONSTRAINT uq_usage_window_session_id_from_ms UNIQUE (session_id, from_ms),
    CONSTRAINT ck_usage_window_forward CHECK (to_ms > from_ms),
    CONSTRAINT ck_usage_window_kind CHECK (kind IN ('used', 'gap', 'grace')),
    CONSTRAINT fk_usage_window_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id)
);

CREATE TABLE warning (
    id BIGSERIAL NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    key VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    urgency VARCHAR NOT NULL,
    created_at_ms BIGINT NOT NULL,
    delivered_at_ms BIGINT,
    CONSTRAINT pk_warning PRIMARY KEY (id),
    CONSTRAINT fk_warning_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id),
    CONSTRAINT uq_warning_key UNIQUE (key)
);
CREATE INDEX ix_warning_session_id ON warning (session_id);

CREATE TABLE run_event (
    run_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event VARCHAR NOT NULL,
    task VARCHAR,
    at_ms BIGINT NOT NULL,
    data JSONB NOT NULL,
    CONSTRAINT pk_run_event PRIMARY KEY (run_id, attempt, seq),
    CONSTRAINT fk_run_event_run_id_run FOREIGN KEY(run_id) REFERENCES run (id)
);

CREATE TABLE ledger_check (
    at_ms BIGINT NOT NULL,
    findings INTEGER,
    CONSTRAINT pk_ledger_check PRIMARY KEY (at_ms)
);

CREATE TABLE ledger_request (
    request_id VARCHAR(64) NOT NULL,
    kind VARCHAR NOT NULL,
    wallet VARCHAR(42),
    gpu_ms BIGINT NOT NULL,
    event_id BIGINT,
    session_id VARCHAR(36),
    reason VARCHAR NOT NULL,
    proof VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    asked_at_ms BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    approver VARCHAR,
    decided_at_ms BIGINT,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_ledger_request PRIMARY KEY (request_id),
    CONSTRAINT ck_ledger_request_kind CHECK (kind IN ('credit', 'refund', 'adjust', 'assign', 'return')),
    CONSTRAINT ck_ledger_request_state CHECK (state IN ('waiting', 'done', 'refused')),
    CONSTRAINT ck_ledger_request_four_eyes CHECK (state <> 'done' OR approver IS NULL OR actor <> approver),
    CONSTRAINT fk_ledger_request_event_id_money_event FOREIGN KEY(event_id) REFERENCES money_event (id),
    CONSTRAINT fk_ledger_request_session_id_gpu_session FOREIGN KEY(session_id) REFERENCES gpu_session (id)
);
CREATE INDEX ix_ledger_request_actor ON ledger_request (actor, asked_at_ms);
CREATE INDEX ix_ledger_request_session_id ON ledger_request (session_id);
CREATE INDEX ix_ledger_request_state ON ledger_request (state);
CREATE UNIQUE INDEX uq_ledger_request_event ON ledger_request (event_id) WHERE state <> 'refused';

CREATE TABLE deposit_assignment (
    id BIGSERIAL NOT NULL,
    event_id BIGINT NOT NULL,
    signer VARCHAR(42) NOT NULL,
    beneficiary VARCHAR(42) NOT NULL,
    nonce VARCHAR(78) NOT NULL,
    deadline_s BIGINT NOT NULL,
    signature VARCHAR NOT NULL,
    gpu_ms BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    seal VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_deposit_assignment PRIMARY KEY (id),
    CONSTRAINT uq_deposit_assignment_event_id UNIQUE (event_id),
    CONSTRAINT uq_deposit_assignment_signer UNIQUE (signer, nonce),
    CONSTRAINT fk_deposit_assignment_event_id_money_event FOREIGN KEY(event_id) REFERENCES money_event (id)
);

-- Money's rows are added, never changed: not by a slip of the program, not by hand.
CREATE FUNCTION axonos_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION axonos_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_batch
    FOR EACH STATEMENT EXECUTE FUNCTION axonos_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON money_event_transition
    FOR EACH STATEMENT EXECUTE FUNCTION axonos_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON home_event
    FOR EACH STATEMENT EXECUTE FUNCTION axonos_append_only();

-- A promise stands as it was given; whether it was kept may be written beside it.
CREATE FUNCTION axonos_promise_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (NEW.session_id, NEW.given_at_ms, NEW.latest_ms)
            IS DISTINCT FROM (OLD.session_id, OLD.given_at_ms, OLD.latest_ms) THEN
        RAISE EXCEPTION 'a promise stands as it was given' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER promise_stands BEFORE UPDATE OR DELETE ON promise
    FOR EACH ROW EXECUTE FUNCTION axonos_promise_stands();

-- Whoever makes work wakes the workers when it commits. It only wakes: they look by themselves as well.
CREATE FUNCTION axonos_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('axonos_wake', TG_ARGV[0]);
    RETURN NULL;
END
$$;
CREATE TRIGGER wake_new AFTER INSERT ON run
    FOR EACH ROW EXECUTE FUNCTION axonos_wake('runs');
CREATE TRIGGER wake AFTER UPDATE OF state ON run
    FOR EACH ROW WHEN (NEW.state <> 'running') EXECUTE FUNCTION axonos_wake('runs');
CREATE TRIGGER wake_new AFTER INSERT ON gpu_session
    FOR EACH ROW WHEN (NEW.state = 'queued') EXECUTE FUNCTION axonos_wake('queue');
CREATE TRIGGER wake_cut AFTER UPDATE OF cut_for ON queue_place
    FOR EACH ROW WHEN (NEW.cut_for IS NOT NULL) EXECUTE FUNCTION axonos_wake('queue');
CREATE TRIGGER wake_left AFTER UPDATE OF state ON gpu_session
    FOR EACH ROW WHEN (OLD.state = 'queued' AND NEW.state = 'ended') EXECUTE FUNCTION axonos_wake('queue');
CREATE TRIGGER wake AFTER UPDATE OF state ON gpu
    FOR EACH ROW WHEN (NEW.state IN ('checked', 'free')) EXECUTE FUNCTION axonos_wake('queue');
CREATE TRIGGER wake AFTER UPDATE OF state ON host
    FOR EACH ROW WHEN (NEW.state = 'ready') EXECUTE FUNCTION axonos_wake('queue');

CREATE TABLE clock_anchor (
    boot_id VARCHAR(36) NOT NULL,
    offset_ms BIGINT NOT NULL,
    CONSTRAINT pk_clock_anchor PRIMARY KEY (boot_id)
);
