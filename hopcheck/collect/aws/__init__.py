"""AWS's answers, by boto3."""
