"""The EC2 part of a stack, as components over the unmodified `pulumi_aws` SDK. Needs the extra `aws`."""

import warnings

import pulumi_aws

# The SDK's parts load at first use, and warn then of every former name of its own; none of them is used here.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    PARTS = (pulumi_aws.ebs.Volume, pulumi_aws.ec2.Instance)
