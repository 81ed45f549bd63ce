"""What users of grpcio expect: messages and stubs of the daemon's services.

    import grpc
    from modeld.grpc import model_worker_pb2, model_worker_pb2_grpc

grpcio-tools makes the modules from proto/ when the package is built; in a checkout: clients/python/stubs.py DIRECTORY.
"""
