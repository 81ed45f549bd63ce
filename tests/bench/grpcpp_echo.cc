/*
 * grpcpp_echo.cc: what the same job costs on grpc++: an asynchronous generic server with one completion
 * queue thread that answers every call with what it received. No inference.
 *
 *   grpcpp_echo PORT
 */
#include <cstdio>
#include <memory>
#include <string>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

namespace {

class Echo {
public:
	Echo(grpc::AsyncGenericService *service, grpc::ServerCompletionQueue *queue)
		: service_(service), queue_(queue), stream_(&context_)
	{
		service_->RequestCall(&context_, &stream_, queue_, queue_, this);
	}
	void proceed(bool ok)
	{
		if (step_ == 0 && ok) {
			new Echo(service_, queue_);
			step_ = 1;
			stream_.Read(&message_, this);
		} else if (step_ == 1 && ok) {
			step_ = 2;
			stream_.WriteAndFinish(message_, grpc::WriteOptions(), grpc::Status::OK, this);
		} else {
			delete this;
		}
	}

private:
	grpc::AsyncGenericService *service_;
	grpc::ServerCompletionQueue *queue_;
	grpc::GenericServerContext context_;
	grpc::GenericServerAsyncReaderWriter stream_;
	grpc::ByteBuffer message_;
	int step_ = 0;
};

} // namespace

int main(int argc, char **argv)
{
	grpc::AsyncGenericService service;
	grpc::ServerBuilder builder;

	if (argc < 2) {
		std::fprintf(stderr, "usage: grpcpp_echo PORT\n");
		return 64;
	}
	builder.AddListeningPort(
		std::string("127.0.0.1:") + argv[1], grpc::InsecureServerCredentials());
	builder.RegisterAsyncGenericService(&service);
	builder.SetMaxReceiveMessageSize(-1);
	auto queue = builder.AddCompletionQueue();
	auto server = builder.BuildAndStart();
	if (!server)
		return 71;
	new Echo(&service, queue.get());
	std::puts("ready");
	std::fflush(stdout);
	void *tag;
	bool ok;
	while (queue->Next(&tag, &ok))
		static_cast<Echo *>(tag)->proceed(ok);
}
