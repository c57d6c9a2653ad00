"""Programs that serve Pulumi's engine: our dynamic resources, and Docker resources on closed sites."""
