"""The AWS world: SQS, EventBridge, S3, DynamoDB and a Qdrant server behind the same verbs."""
