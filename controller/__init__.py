"""The controller: payments, queue, metering and sessions behind a Flask site."""
